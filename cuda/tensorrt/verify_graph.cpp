#include "tensorrt/verify_graph.h"

#include "kernels/kernels.h"

namespace mtp_rt::cuda {

VerifyGraph::VerifyGraph(LoopParts& parts, const StepPart& part)
    : parts_(parts), part_(part), verify_(call()) {
  const Stream& stream = parts_.runtime->stream();
  const Settled settled(stream.get());
  enqueue_verify(stream.get());
  stream.wait();
  graph_ = Graph(stream.get(), [this](cudaStream_t captured) { enqueue_all(captured); });
}

LoopCall VerifyGraph::call() const {
  const std::int64_t batch = part_.count;
  const std::int64_t rows = part_.width;
  const auto widest = static_cast<std::size_t>(rows - 1);
  const VerifyInputs to = parts_.step.inputs();
  const BoundTensor inputs[] = {{"tokens", {batch, rows}, to.tokens},
                                {"positions", {batch, rows}, to.positions},
                                {"lengths", {batch}, to.lengths},
                                {"tree", {batch, rows, rows}, to.tree},
                                {"rows", {batch, rows}, parts_.row_numbers[widest].data()}};
  const BoundTensor outputs[] = {{"logits", {batch, rows, parts_.model.vocab}, parts_.scores.logits()},
                                 {"state", {batch, rows, parts_.model.hidden}, parts_.states.data()}};
  const std::int32_t profile = parts_.model.verify_profiles[static_cast<std::size_t>(batch - 1)][widest];
  const BoundSlots slots{parts_.model.cache_names, &parts_.caches, part_.first, part_.count};
  return {parts_.verify, profile, inputs, outputs, slots};
}

void VerifyGraph::enqueue_verify(cudaStream_t stream) {
  parts_.step.send_drafts(part_, stream);
  enqueue_lay_rows(parts_.memory.view(), parts_.step.rows(part_), parts_.step.inputs(), stream);
  verify_.enqueue(stream);
}

void VerifyGraph::enqueue_all(cudaStream_t stream) {
  const LoopState state = parts_.memory.view();
  const StepRows rows = parts_.step.rows(part_);
  const StepResults results = parts_.step.results();
  enqueue_verify(stream);
  enqueue_pick(state, rows, parts_.scores.view(), results.picks, stream);
  enqueue_commit(state, rows, results, stream);
  const bool may_branch = part_.width > 2;  // two rows are a chain, which lies where it belongs
  if (may_branch) enqueue_move(parts_.caches.layout(), rows, results, stream);
  if (parts_.max_depths() > 0) {
    const std::size_t bytes = static_cast<std::size_t>(parts_.model.hidden) * sizeof(float);
    enqueue_gather_state(parts_.states.data(), parts_.head_states[0].data(), bytes, rows, results.outcomes,
                         stream);
  }
  parts_.step.read_back(part_, stream);
}

}  // namespace mtp_rt::cuda
