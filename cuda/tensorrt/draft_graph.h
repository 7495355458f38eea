// The part of a step that drafts, as one captured graph.
#pragma once

#include <compare>
#include <cstdint>
#include <vector>

#include "kernels/pick_step.h"
#include "loop/loop_memory.h"
#include "runtime/stream.h"
#include "tensorrt/loop_call.h"
#include "tensorrt/loop_parts.h"

namespace mtp_rt::cuda {

/// Calls of the heads for a number of sequences, depth after depth. They read what a verify left of any
/// slots, so graphs of all slots share them.
class DraftCalls {
 public:
  /// `parts` outlives the calls.
  DraftCalls(LoopParts& parts, std::int32_t count) : parts_(parts), count_(count) {}

  /// Opens and runs once what the first `depths` depths call: TensorRT wants a plain run before a capture.
  /// Heads have no caches, so any run of them is harmless.
  void open(std::int32_t depths);

  /// Enqueues the heads of a depth, if they run for it: those that are not sequential give all depths with
  /// the first.
  void enqueue(std::int32_t depth, cudaStream_t stream);

  /// What they score at a depth.
  [[nodiscard]] DraftScores scores(std::int32_t depth) const noexcept;

 private:
  [[nodiscard]] LoopCall depth_call(std::size_t depth) const;
  [[nodiscard]] LoopCall all_depths_call() const;

  LoopParts& parts_;
  std::int32_t count_;
  std::vector<LoopCall> heads_;  // by depth; one for all where they are not sequential
};

/// What a graph of drafts holds for.
struct DraftShape {
  Slot first = 0;
  std::int32_t count = 1;
  std::int32_t depths = 0;

  auto operator<=>(const DraftShape&) const = default;
};

/// Each depth's heads and pick, drafts copied out. It runs behind the VerifyGraph of the same slots.
class DraftGraph {
 public:
  /// Captures the part. `calls` are for as many sequences; all but they may end before the graph.
  DraftGraph(LoopParts& parts, DraftCalls& calls, const DraftShape& shape);

  void launch(cudaStream_t stream) const { graph_.launch(stream); }

 private:
  Graph graph_;
};

}  // namespace mtp_rt::cuda
