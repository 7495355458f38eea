#include "engines/native/draft_step.h"

#include <algorithm>

#include "engines/native/head_step.h"
#include "engines/native/lm_head.h"
#include "sampling/rank.h"

namespace mtp_rt::native {

void DraftStep::run() const {
  for (std::size_t depth = 0; depth < stages_.size(); ++depth) {
    const std::size_t sequences = stages_[depth].scored.size();
    const HeadStep head(h_, sequences_, stages_[depth], static_cast<int>(depth), outputs_, thread_);
    if (depth == 0) head.load_states();
    head.run();
    h_.pool_.barrier();
    head.read_scales();
    head.put_head_scales();
    if (sequences > 0) score(static_cast<int>(depth), sequences);
    h_.pool_.barrier();
    choose(depth, sequences);
    if (depth + 1 < stages_.size()) head.feed_on();
    h_.pool_.barrier();
  }
}

void DraftStep::score(int depth, std::size_t sequences) const {
  const LmHead head{
      h_.kernels_,         h_.weights_.unembed(depth), h_.weights_.scores(), static_cast<int>(sequences),
      h_.margin_at(depth), w_.layer.head_input.view(), w_.layer.unit_maxima, w_.layer.threads};
  head.run(thread_, h_.pool_, w_.logits.as<float>());
}

void DraftStep::choose(std::size_t depth, std::size_t sequences) const {
  int item = 0;  // items go round the threads
  for (std::size_t i = 0; i < sequences; ++i) {
    if (item++ % h_.pool_.threads() == thread_) choose_tokens(depth, i, sequences);
    if (sequences_[i].params->temperature != 0.0F) continue;
    for (std::size_t segment = 0; segment < w_.segments; ++segment) {
      if (item++ % h_.pool_.threads() == thread_) sum_segment(depth, i, segment);
    }
  }
}

std::span<const float> DraftStep::scores_of(std::size_t sequence) const {
  const auto count = static_cast<std::size_t>(h_.weights_.scores());
  return w_.logits.as<float>().subspan(sequence * count, count);
}

void DraftStep::choose_tokens(std::size_t depth, std::size_t sequence, std::size_t sequences) const {
  const HeadRow& row = sequences_[sequence];
  const auto width = static_cast<std::size_t>(row.width);
  const std::span<Token> tokens = outputs_.tokens.subspan(row.output + depth * width, width);
  const std::span<float> chances = outputs_.chances.subspan(row.output + depth * width, width);
  if (row.params->temperature == 0.0F) {
    highest(scores_of(sequence), w_.layer.unit_maxima.data() + sequence, sequences, h_.weights_.tokens(),
            tokens, chances);
  } else {
    const std::int64_t position = std::int64_t{row.position} + 1 + static_cast<std::int64_t>(depth);
    rank(scores_of(sequence), h_.weights_.tokens(), *row.params, position, tokens, chances);
  }
}

void DraftStep::sum_segment(std::size_t depth, std::size_t sequence, std::size_t segment) const {
  const std::span<const float> scores = scores_of(sequence);
  const std::size_t first = segment * kSegment;
  w_.softmax_of(sequence, depth)[segment] =
      softmax_part(h_.kernels_, scores.subspan(first, std::min(kSegment, scores.size() - first)),
                   w_.segment_copies[static_cast<std::size_t>(thread_)].as<float>().data());
}

}  // namespace mtp_rt::native
