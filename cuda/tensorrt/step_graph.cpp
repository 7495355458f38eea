#include "tensorrt/step_graph.h"

#include <algorithm>

#include "kernels/kernels.h"

namespace mtp_rt::cuda {

StepGraph::StepGraph(LoopParts& parts, StepMemory& step, const StepShape& shape)
    : parts_(parts), step_(step), shape_(shape), verify_(verify_call()) {
  const std::int32_t calls = parts_.model.sequential ? shape_.depths : std::min(shape_.depths, 1);
  for (std::int32_t depth = 0; depth < calls; ++depth) {
    heads_.push_back(parts_.model.sequential ? depth_call(depth) : all_depths_call());
  }
  const Stream& stream = parts_.runtime->stream();
  const Settled settled(stream.get());
  run_once(stream.get());
  stream.wait();
  graph_ = Graph(stream.get(), [this](cudaStream_t captured) { enqueue_step(captured); });
}

LoopCall StepGraph::verify_call() const {
  const std::int64_t rows = shape_.rows;
  const VerifyInputs to = step_.inputs();
  const BoundTensor inputs[] = {{"tokens", {1, rows}, to.tokens},
                                {"positions", {1, rows}, to.positions},
                                {"lengths", {1}, to.lengths},
                                {"tree", {1, rows, rows}, to.tree},
                                {"rows", {1, rows}, parts_.row_numbers.data()}};
  const BoundTensor outputs[] = {{"logits", {1, rows, parts_.model.vocab}, parts_.scores.logits()},
                                 {"state", {1, rows, parts_.model.hidden}, parts_.states.data()}};
  const auto profile = static_cast<std::size_t>(shape_.rows - 1);
  return {parts_.verify,
          parts_.model.verify_profiles[profile],
          inputs,
          outputs,
          {parts_.model.cache_names, &parts_.caches, shape_.slot}};
}

LoopCall StepGraph::depth_call(std::int32_t depth) const {
  const auto place = static_cast<std::size_t>(depth);
  const std::int64_t hidden = parts_.model.hidden;
  const BoundTensor inputs[] = {{"state", {1, 1, hidden}, parts_.head_state[place % 2].data()},
                                {"tokens", {1, 1}, step_.results().last}};
  const BoundTensor outputs[] = {{"logits", {1, 1, parts_.draft_scores()}, parts_.head_logits.data()},
                                 {"next_state", {1, 1, hidden}, parts_.head_state[(place + 1) % 2].data()}};
  return {*parts_.heads[place], parts_.model.heads[place].profile, inputs, outputs, {}};
}

LoopCall StepGraph::all_depths_call() const {
  const BoundTensor inputs[] = {{"state", {1, 1, parts_.model.hidden}, parts_.head_state[0].data()}};
  const BoundTensor outputs[] = {
      {"logits", {1, 1, parts_.max_depths(), parts_.draft_scores()}, parts_.head_logits.data()}};
  return {*parts_.heads.front(), parts_.model.heads.front().profile, inputs, outputs, {}};
}

void StepGraph::run_once(cudaStream_t stream) {
  enqueue_verify(stream);
  // Heads have no caches, and states and tokens are zero at first: any run of them is harmless.
  for (LoopCall& head : heads_) head.enqueue(stream);
}

void StepGraph::enqueue_verify(cudaStream_t stream) {
  step_.send_drafts(stream);
  enqueue_lay_rows(parts_.memory.view(), step_.rows(shape_.rows), step_.inputs(), stream);
  verify_.enqueue(stream);
}

void StepGraph::enqueue_step(cudaStream_t stream) {
  const LoopState state = parts_.memory.view();
  const StepRows rows = step_.rows(shape_.rows);
  const StepResults results = step_.results();
  enqueue_verify(stream);
  enqueue_pick(state, rows, parts_.scores.view(), results.picks, stream);
  enqueue_commit(state, rows, results, stream);
  const bool may_branch = shape_.rows > 2;  // two rows are a chain, which lies where it belongs
  if (may_branch) enqueue_move(parts_.caches.layout(), rows, results, stream);
  if (shape_.depths > 0) {
    const std::size_t bytes = static_cast<std::size_t>(parts_.model.hidden) * sizeof(float);
    enqueue_gather_state(parts_.states.data(), parts_.head_state[0].data(), bytes, rows, results.outcomes,
                         stream);
    enqueue_drafts(stream);
  }
  step_.read_back(stream);
}

void StepGraph::enqueue_drafts(cudaStream_t stream) {
  const bool sequential = parts_.model.sequential;
  const StepRows rows = step_.rows(shape_.depths + 1);
  const std::int32_t size = parts_.draft_scores();
  for (std::int32_t depth = 0; depth < shape_.depths; ++depth) {
    const auto place = static_cast<std::size_t>(depth);
    if (sequential || depth == 0) heads_[place].enqueue(stream);
    const std::size_t offset = sequential ? 0 : place * static_cast<std::size_t>(size);
    const DraftScores scores{parts_.head_logits.data() + offset, parts_.draft_ids.data(), size, depth,
                             step_.results().last};
    enqueue_pick_draft(parts_.memory.view(), rows, scores, stream);
  }
}

}  // namespace mtp_rt::cuda
