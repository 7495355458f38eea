// The loop of a model whose plans run on a GPU.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "loop/loop_memory.h"
#include "mtp_rt/device_loop.h"
#include "tensorrt/loop_parts.h"
#include "tensorrt/runtime.h"
#include "tensorrt/step_graph.h"

namespace mtp_rt::cuda {

/// A step launches one graph per sequence, one after the other, and waits once. Several sequences in one call
/// of the plans come later.
class PlanLoop final : public DeviceLoop {
 public:
  /// As PlanDevice::make_loop().
  PlanLoop(std::shared_ptr<Runtime> runtime, const PlanLoopModel& model);

  [[nodiscard]] std::int32_t max_rows() const noexcept override { return parts_.max_rows(); }
  [[nodiscard]] std::int32_t max_depths() const noexcept override { return parts_.max_depths(); }
  [[nodiscard]] bool takes(const Request& request) const noexcept override;
  [[nodiscard]] bool holds(Slot slot) const noexcept override;
  void admit(Slot slot, const Request& request, std::span<const Token> tokens) override;

  /// Also refuses a sequence that has ended.
  [[nodiscard]] std::vector<LoopResult> step(std::span<const LoopRow> rows) override;
  void release(Slot slot) override;

 private:
  struct Sequence {
    StepMemory memory;
    bool held = false;
    bool ended = false;
  };

  [[nodiscard]] Sequence& at(Slot slot) { return sequences_[static_cast<std::size_t>(slot)]; }
  void check_rows(std::span<const LoopRow> rows) const;
  [[nodiscard]] const StepGraph& graph_of(const LoopRow& row);
  [[nodiscard]] LoopResult result_of(const LoopRow& row);

  LoopParts parts_;
  std::vector<Sequence> sequences_;        // by slot
  std::map<StepShape, StepGraph> graphs_;  // captured with their first step
  bool graphs_count_ = false;              // whether they know the memory of counts
};

}  // namespace mtp_rt::cuda
