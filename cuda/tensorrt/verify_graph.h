// The part of a step that verifies and commits, as one captured graph.
#pragma once

#include "loop/loop_memory.h"
#include "runtime/stream.h"
#include "tensorrt/loop_call.h"
#include "tensorrt/loop_parts.h"

namespace mtp_rt::cuda {

/// Drafts copied in, rows laid, verify, pick, commit, kept rows moved, the states gathered that drafts start
/// from, outcomes and committed tokens copied out. It holds for neighbouring slots, as their caches are
/// bound, and their rows.
class VerifyGraph {
 public:
  /// Opens an execution of the plan, runs it once and captures the part. The drafts of such a part lie in the
  /// step's pinned memory. `parts` outlives the graph.
  ///
  /// TensorRT wants a plain run before a capture. It is the coming step's own verify, without its commit: so
  /// it writes to the places behind what the sequences hold, where the step will write again, and nothing is
  /// lost.
  VerifyGraph(LoopParts& parts, const StepPart& part);

  void launch(cudaStream_t stream) const { graph_.launch(stream); }

 private:
  [[nodiscard]] LoopCall call() const;
  void enqueue_verify(cudaStream_t stream);
  void enqueue_all(cudaStream_t stream);

  LoopParts& parts_;
  StepPart part_;
  LoopCall verify_;
  Graph graph_;
};

}  // namespace mtp_rt::cuda
