// The device's loop with plans that any PlanDevice runs and kernels' bodies run on the host.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engines/cuda/plans.h"
#include "kernels/step_types.h"

namespace mtp_rt::testing {

/// What the CUDA part does in one captured graph, call by call: the oracle of how an engine drives a loop.
class HostPlanLoop final : public DeviceLoop {
 public:
  explicit HostPlanLoop(cuda::PlanLoopModel model);

  [[nodiscard]] std::int32_t max_rows() const noexcept override;
  [[nodiscard]] std::int32_t max_depths() const noexcept override;
  [[nodiscard]] bool takes(const Request& request) const noexcept override;
  [[nodiscard]] bool holds(Slot slot) const noexcept override;
  void admit(Slot slot, const Request& request, std::span<const Token> tokens) override;
  [[nodiscard]] std::vector<LoopResult> step(std::span<const LoopRow> rows) override;
  void release(Slot slot) override;

 private:
  /// Memory of one sequence's step.
  struct Step {
    Step(const LoopRow& row, std::int32_t depths, const cuda::PlanLoopModel& model);

    [[nodiscard]] cuda::StepRows rows() noexcept;
    [[nodiscard]] cuda::StepRows drafting() noexcept;

    std::int32_t slot;
    std::int32_t width;
    std::vector<Token> drafts;
    std::vector<std::int32_t> parents;
    std::int32_t draft_count;
    std::vector<Token> drafted;
    std::vector<std::int32_t> drafted_parents;
    std::int32_t drafted_count = 0;
    std::vector<float> logits;
    std::vector<float> states;
    std::vector<Token> picks;
    std::vector<Token> tokens;
    std::vector<std::int32_t> kept;
    std::int64_t last = 0;
    cuda::StepOutcome outcome;
  };

  [[nodiscard]] LoopResult step_one(const LoopRow& row);
  void verify(Step& step);
  void pick(Step& step);
  void draft(Step& step, std::int32_t depths);
  [[nodiscard]] std::vector<float> scores(const cuda::PlanHead& head, std::vector<float>& state,
                                          std::int64_t token) const;

  cuda::PlanLoopModel model_;
  std::vector<bool> held_;
  std::vector<cuda::SlotState> slots_;
  std::vector<Token> tokens_;
  std::vector<cuda::Tally> counts_;
  std::vector<Token> stops_;
  std::vector<cuda::Bias> bias_;
  cuda::LoopState state_;
};

}  // namespace mtp_rt::testing
