#include "tensorrt/draft_graph.h"

#include <algorithm>

#include "kernels/kernels.h"

namespace mtp_rt::cuda {

void DraftCalls::open(std::int32_t depths) {
  const std::int32_t wanted = parts_.model.sequential ? depths : std::min(depths, 1);
  const Stream& stream = parts_.runtime->stream();
  while (std::ssize(heads_) < wanted) {
    LoopCall call = parts_.model.sequential ? depth_call(heads_.size()) : all_depths_call();
    const Settled settled(stream.get());
    call.enqueue(stream.get());
    stream.wait();
    heads_.push_back(std::move(call));
  }
}

void DraftCalls::enqueue(std::int32_t depth, cudaStream_t stream) {
  if (parts_.model.sequential || depth == 0) heads_[static_cast<std::size_t>(depth)].enqueue(stream);
}

DraftScores DraftCalls::scores(std::int32_t depth) const noexcept {
  const std::int32_t size = parts_.draft_scores();
  const bool sequential = parts_.model.sequential;
  const std::size_t offset =
      sequential ? 0 : static_cast<std::size_t>(depth) * static_cast<std::size_t>(size);
  const std::int32_t stride = sequential ? size : size * parts_.max_depths();
  return {parts_.head_logits.data() + offset, parts_.draft_ids.data(), size, stride, depth,
          parts_.step.results().last};
}

LoopCall DraftCalls::depth_call(std::size_t depth) const {
  const std::int64_t batch = count_;
  const std::int64_t hidden = parts_.model.hidden;
  const BoundTensor inputs[] = {{"state", {batch, 1, hidden}, parts_.head_states[depth % 2].data()},
                                {"tokens", {batch, 1}, parts_.step.results().last}};
  const BoundTensor outputs[] = {
      {"logits", {batch, 1, parts_.draft_scores()}, parts_.head_logits.data()},
      {"next_state", {batch, 1, hidden}, parts_.head_states[(depth + 1) % 2].data()}};
  const std::int32_t profile = parts_.model.heads[depth].profiles[static_cast<std::size_t>(batch - 1)];
  return {*parts_.heads[depth], profile, inputs, outputs, {}};
}

LoopCall DraftCalls::all_depths_call() const {
  const std::int64_t batch = count_;
  const BoundTensor inputs[] = {{"state", {batch, 1, parts_.model.hidden}, parts_.head_states[0].data()}};
  const BoundTensor outputs[] = {
      {"logits", {batch, 1, parts_.max_depths(), parts_.draft_scores()}, parts_.head_logits.data()}};
  const std::int32_t profile = parts_.model.heads.front().profiles[static_cast<std::size_t>(batch - 1)];
  return {*parts_.heads.front(), profile, inputs, outputs, {}};
}

DraftGraph::DraftGraph(LoopParts& parts, DraftCalls& calls, const DraftShape& shape) {
  calls.open(shape.depths);
  const StepPart part{shape.first, shape.count, shape.depths + 1};
  graph_ = Graph(parts.runtime->stream().get(), [&](cudaStream_t stream) {
    for (std::int32_t depth = 0; depth < shape.depths; ++depth) {
      calls.enqueue(depth, stream);
      enqueue_pick_draft(parts.memory.view(), parts.step.rows(part), calls.scores(depth), stream);
    }
    parts.step.read_back_drafts(part, stream);
  });
}

}  // namespace mtp_rt::cuda
