// The device's loop with plans that any PlanDevice runs and kernels' bodies run on the host.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engines/cuda/plans.h"
#include "kernels/step_types.h"
#include "loop/host_loop_state.h"
#include "loop/slot_groups.h"

namespace mtp_rt::testing {

/// What the CUDA part does in captured graphs, call by call: the oracle of how an engine drives a loop.
class HostPlanLoop final : public DeviceLoop {
 public:
  explicit HostPlanLoop(cuda::PlanLoopModel model);

  [[nodiscard]] std::int32_t max_rows() const noexcept override { return cuda::loop_rows(model_); }
  [[nodiscard]] std::int32_t max_depths() const noexcept override;
  [[nodiscard]] bool takes(const Request& request) const noexcept override {
    return cuda::state_takes(request);
  }
  [[nodiscard]] bool holds(Slot slot) const noexcept override;
  void admit(Slot slot, const Request& request, std::span<const Token> tokens) override;
  [[nodiscard]] std::vector<LoopResult> step(std::span<const LoopRow> rows) override;
  void release(Slot slot) override;

 private:
  /// Memory of one group's step.
  struct Step {
    Step(const cuda::SlotGroup& of, const cuda::PlanLoopModel& model);

    void put_drafts(const LoopRow& row);
    [[nodiscard]] cuda::StepRows rows() noexcept;
    [[nodiscard]] cuda::StepRows drafting() noexcept;
    [[nodiscard]] cuda::StepResults results() noexcept;

    cuda::SlotGroup group;
    std::vector<std::int32_t> slots;
    std::vector<Token> drafts;  // [count, width - 1]
    std::vector<std::int32_t> parents;
    std::vector<std::int32_t> draft_counts;
    std::vector<Token> drafted;  // [count, depths]
    std::vector<std::int32_t> drafted_parents;
    std::vector<std::int32_t> drafted_counts;
    std::vector<float> logits;
    std::vector<float> states;
    std::vector<Token> picks;
    std::vector<Token> tokens;
    std::vector<std::int32_t> kept;
    std::vector<std::int64_t> last;
    std::vector<cuda::StepOutcome> outcomes;
  };

  void run(Step& step);
  void verify(Step& step);
  void keep(const Step& step);
  void draft(Step& step);
  [[nodiscard]] std::vector<float> scores(const cuda::PlanHead& head, std::vector<float>& states,
                                          std::span<const std::int64_t> tokens) const;
  [[nodiscard]] LoopResult result_of(const LoopRow& row, const Step& step) const;

  cuda::PlanLoopModel model_;
  cuda::HostLoopState state_;
};

}  // namespace mtp_rt::testing
