// A step of the loop as one captured graph.
#pragma once

#include <compare>
#include <cstdint>
#include <vector>

#include "loop/loop_memory.h"
#include "runtime/stream.h"
#include "tensorrt/loop_call.h"
#include "tensorrt/loop_parts.h"

namespace mtp_rt::cuda {

/// What a graph holds for: one sequence, as its slot's caches are bound, its rows and the drafts behind them.
struct StepShape {
  Slot slot = 0;
  std::int32_t rows = 1;
  std::int32_t depths = 0;

  auto operator<=>(const StepShape&) const = default;
};

/// Copies in, rows laid, verify, pick, commit, kept rows moved, the state gathered, each depth's heads and
/// pick, copies out.
class StepGraph {
 public:
  /// Opens executions of the plans, runs each once and captures the step. `step` is the slot's memory, in
  /// which the drafts of a step of this shape lie; it and `parts` outlive the graph.
  ///
  /// TensorRT wants a plain run before a capture. It is the coming step's own verify, without its commit: so
  /// it writes to the places behind what the sequence holds, where the step will write again, and nothing is
  /// lost.
  StepGraph(LoopParts& parts, StepMemory& step, const StepShape& shape);

  void launch(cudaStream_t stream) const { graph_.launch(stream); }

 private:
  [[nodiscard]] LoopCall verify_call() const;
  [[nodiscard]] LoopCall depth_call(std::int32_t depth) const;
  [[nodiscard]] LoopCall all_depths_call() const;
  void run_once(cudaStream_t stream);
  void enqueue_verify(cudaStream_t stream);
  void enqueue_step(cudaStream_t stream);
  void enqueue_drafts(cudaStream_t stream);

  LoopParts& parts_;
  StepMemory& step_;
  StepShape shape_;
  LoopCall verify_;
  std::vector<LoopCall> heads_;  // by depth; one for all where they are not sequential
  Graph graph_;
};

}  // namespace mtp_rt::cuda
