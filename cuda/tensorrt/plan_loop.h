// The loop of a model whose plans run on a GPU.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "loop/slot_groups.h"
#include "mtp_rt/device_loop.h"
#include "tensorrt/draft_graph.h"
#include "tensorrt/loop_parts.h"
#include "tensorrt/runtime.h"
#include "tensorrt/verify_graph.h"

namespace mtp_rt::cuda {

/// Neighbouring slots of a step share calls of the plans as far as those take several sequences. A step
/// launches for each such group a graph that verifies and, where drafts are wanted, one that drafts, one
/// after the other, and waits once.
class PlanLoop final : public DeviceLoop {
 public:
  /// As PlanDevice::make_loop().
  PlanLoop(std::shared_ptr<Runtime> runtime, const PlanLoopModel& model);

  [[nodiscard]] std::int32_t max_rows() const noexcept override { return parts_.max_rows(); }
  [[nodiscard]] std::int32_t max_depths() const noexcept override { return parts_.max_depths(); }
  [[nodiscard]] bool takes(const Request& request) const noexcept override { return state_takes(request); }
  [[nodiscard]] bool holds(Slot slot) const noexcept override;
  void admit(Slot slot, const Request& request, std::span<const Token> tokens) override;

  /// Also refuses a sequence that has ended.
  [[nodiscard]] std::vector<LoopResult> step(std::span<const LoopRow> rows) override;
  void release(Slot slot) override;

 private:
  void check_rows(std::span<const LoopRow> rows) const;
  void put_drafts(const LoopRow& row, const SlotGroup& group);
  void forget_old_graphs();
  [[nodiscard]] const VerifyGraph& verify_graph(const SlotGroup& group);
  [[nodiscard]] const DraftGraph& draft_graph(const SlotGroup& group);
  void run(std::span<const SlotGroup> groups);
  [[nodiscard]] LoopResult result_of(const LoopRow& row, const SlotGroup& group);

  LoopParts parts_;
  std::map<std::int32_t, DraftCalls> draft_calls_;  // by sequences of a group
  std::map<StepPart, VerifyGraph> verify_graphs_;   // captured with their first step
  std::map<DraftShape, DraftGraph> draft_graphs_;
  bool graphs_count_ = false;  // whether graphs know the memory of counts
};

}  // namespace mtp_rt::cuda
