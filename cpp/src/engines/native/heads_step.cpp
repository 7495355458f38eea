#include "engines/native/heads_step.h"

#include <algorithm>
#include <cmath>

#include "engines/native/greedy.h"
#include "engines/native/lm_head.h"
#include "sampling/rank.h"

namespace mtp_rt::native {

HeadsStep::HeadsStep(Heads& heads, std::span<const HeadRow> rows, const DraftOutputs& outputs, int thread)
    : h_(heads),
      w_(heads.workspace_),
      s_(w_.threads[static_cast<std::size_t>(thread)]),
      k_(heads.kernels_),
      all_(rows),
      outputs_(outputs),
      thread_(thread),
      blocks_(heads.config_.hidden_size / kBlock),
      width_(static_cast<std::size_t>(heads.config_.hidden_size)),
      rows_(static_cast<int>(rows.size())) {}

void HeadsStep::run() {
  load_states();
  for (depth_ = 0; depth_ < all_.front().count; ++depth_) {
    while (all_[static_cast<std::size_t>(rows_ - 1)].count <= depth_) --rows_;
    const HeadModule& module = h_.weights_.module(depth_);
    read_input(module);
    h_.pool_.barrier();
    apply(module);
    h_.pool_.barrier();
    score();
    h_.pool_.barrier();
    choose();
    normalise_state(module);
    h_.pool_.barrier();
  }
}

void HeadsStep::gather(const float* columns) const {
  for (int r = 0; r < rows_; ++r, columns += width_) std::copy_n(columns, kUnit, values() + r * kUnit);
}

void HeadsStep::add_to(RowVectors& vectors, int block, std::span<const float> gain) const {
  k_.add_residual(values(), rows_, gain.data() + static_cast<std::ptrdiff_t>(block) * kUnit,
                  vectors.columns(block), width_, vectors.squares.data() + block,
                  static_cast<std::size_t>(blocks_));
}

void HeadsStep::set_zero(const RowVectors& vectors, int block) const {
  float* columns = vectors.columns(block);
  for (int r = 0; r < rows_; ++r, columns += width_) std::fill_n(columns, kUnit, 0.0F);
}

float HeadsStep::scale_of(const RowVectors& vectors, int row) const {
  const float* squares = vectors.squares.data() + static_cast<std::ptrdiff_t>(row) * blocks_;
  float total = 0.0F;
  for (int b = 0; b < blocks_; ++b) total += squares[b];
  return 1.0F / std::sqrt(total / static_cast<float>(width_) + h_.config_.rms_norm_eps);
}

void HeadsStep::load_states() const {
  if (!h_.heads_.taps.empty()) return fuse_taps();
  const Range mine = my_blocks();
  for (auto block = static_cast<int>(mine.begin); block < mine.end; ++block) {
    for (int r = 0; r < rows_; ++r) {
      const std::span<float> state = h_.state_of(all_[static_cast<std::size_t>(r)].slot);
      std::copy_n(state.data() + static_cast<std::ptrdiff_t>(block) * kUnit, kUnit, values() + r * kUnit);
    }
    begin_state(block);
  }
}

void HeadsStep::fuse_taps() const {
  const Product& fuse = h_.weights_.fuse();
  const Range mine = share(fuse.blocks, thread_, h_.pool_.threads());
  for (auto block = static_cast<int>(mine.begin); block < mine.end; ++block) {
    for (int r = 0; r < rows_; ++r) {
      const std::span<float> taps = h_.state_of(all_[static_cast<std::size_t>(r)].slot);
      std::copy_n(taps.data() + static_cast<std::ptrdiff_t>(block) * kUnit, kUnit, values() + r * kUnit);
    }
    emit(k_, values(), rows_, block, fuse, w_.tapped.view());
  }
  h_.pool_.barrier();
  for (const Unit& unit : fuse.units[static_cast<std::size_t>(thread_)]) {
    unit.dot(unit.tiles, w_.tapped.view(), w_.ones.data(), 0, rows_, values());
    begin_state(unit.index);
  }
}

void HeadsStep::begin_state(int block) const {
  float* origin = w_.origin.as<float>().data() + static_cast<std::ptrdiff_t>(block) * kUnit;
  for (int r = 0; r < rows_; ++r, origin += width_) std::copy_n(values() + r * kUnit, kUnit, origin);
  set_zero(w_.state, block);
  add_to(w_.state, block, h_.weights_.ones());
}

void HeadsStep::read_input(const HeadModule& module) const {
  if (h_.heads_.wiring == HeadWiring::sequential) {
    embed();
    h_.pool_.barrier();
    return normalise_pair(module);
  }
  const float* from =
      h_.heads_.wiring == HeadWiring::parallel ? w_.origin.as<float>().data() : w_.state.columns(0);
  const Range mine = my_blocks();
  for (auto block = static_cast<int>(mine.begin); block < mine.end; ++block) {
    gather(from + static_cast<std::ptrdiff_t>(block) * kUnit);
    emit(k_, values(), rows_, block, module.first(h_.heads_), w_.input.view());
  }
}

void HeadsStep::embed() const {
  const Range mine = my_blocks();
  for (auto block = static_cast<int>(mine.begin); block < mine.end; ++block) {
    for (int r = 0; r < rows_; ++r) {
      const auto row = static_cast<std::size_t>(r);
      const Token token = depth_ == 0 ? all_[row].token : w_.drafts[row];
      h_.trunk_.embed(token, block, values() + r * kUnit);
    }
    set_zero(w_.embedded, block);
    add_to(w_.embedded, block, h_.weights_.ones());
  }
}

void HeadsStep::normalise_pair(const HeadModule& module) const {
  const Range mine = my_blocks();
  const auto normalise = [&](const RowVectors& vectors, std::span<const float> gain, int first) {
    for (int r = 0; r < rows_; ++r) s_.row_scale[static_cast<std::size_t>(r)] = scale_of(vectors, r);
    for (auto block = static_cast<int>(mine.begin); block < mine.end; ++block) {
      gather(vectors.columns(block));
      for (int r = 0; r < rows_; ++r) {
        const float* g = gain.data() + static_cast<std::ptrdiff_t>(block) * kUnit;
        float* x = values() + r * kUnit;
        for (int i = 0; i < kUnit; ++i) x[i] = x[i] * g[i] * s_.row_scale[static_cast<std::size_t>(r)];
      }
      emit(k_, values(), rows_, first + block, module.first(h_.heads_), w_.input.view());
    }
  };
  normalise(w_.state, module.state_gain, 0);
  normalise(w_.embedded, module.embed_gain, blocks_);
}

void HeadsStep::apply(const HeadModule& module) const {
  const auto thread = static_cast<std::size_t>(thread_);
  const bool linear = h_.heads_.body == HeadBody::linear;
  const Product& last = linear ? module.linear : module.block.down;
  if (!linear) {
    const GateUp inner{module.block.gate_up, w_.input.view(), w_.ones.data(), last, w_.hidden.view(), rows_};
    inner.run(k_, thread_, s_.unit(0, rows_), s_.unit(1, rows_));
    h_.pool_.barrier();
  }
  const Activations& input = linear ? w_.input.view() : w_.hidden.view();
  for (const Unit& unit : last.units[thread]) {
    unit.dot(unit.tiles, input, w_.ones.data(), 0, rows_, values());
    put_state(module, unit.index);
  }
}

void HeadsStep::put_state(const HeadModule& module, int block) const {
  if (h_.heads_.body == HeadBody::linear) {
    set_zero(w_.state, block);
  } else if (h_.heads_.wiring == HeadWiring::parallel) {
    const float* origin = w_.origin.as<float>().data() + static_cast<std::ptrdiff_t>(block) * kUnit;
    float* state = w_.state.columns(block);
    for (int r = 0; r < rows_; ++r, origin += width_, state += width_) std::copy_n(origin, kUnit, state);
  }
  add_to(w_.state, block, module.output_gain);
  emit(k_, values(), rows_, block, h_.weights_.unembed(), w_.to_head.view());
}

void HeadsStep::score() const {
  for (int r = 0; r < rows_; ++r) {
    s_.head_scale[static_cast<std::size_t>(r)] = h_.heads_.output_norm ? scale_of(w_.state, r) : 1.0F;
  }
  const LmHead head{k_,
                    h_.weights_.unembed(),
                    h_.weights_.scores(),
                    rows_,
                    h_.two_stage_margin_,
                    w_.to_head.view(),
                    w_.unit_maxima,
                    w_.threads};
  head.run(thread_, h_.pool_, w_.logits.as<float>());
}

void HeadsStep::choose() const {
  int item = 0;  // items go round the threads
  for (int r = 0; r < rows_; ++r) {
    if (item++ % h_.pool_.threads() == thread_) choose_tokens(static_cast<std::size_t>(r));
    if (all_[static_cast<std::size_t>(r)].params->temperature != 0.0F) continue;
    for (std::size_t segment = 0; segment < w_.segments; ++segment) {
      if (item++ % h_.pool_.threads() == thread_) sum_segment(static_cast<std::size_t>(r), segment);
    }
  }
}

void HeadsStep::choose_tokens(std::size_t row) const {
  const auto scores = static_cast<std::size_t>(h_.weights_.scores());
  const std::span<const float> logits = w_.logits.as<float>().subspan(row * scores, scores);
  const auto width = static_cast<std::size_t>(all_[row].width);
  const std::size_t at = all_[row].output + static_cast<std::size_t>(depth_) * width;
  const std::span<Token> tokens = outputs_.tokens.subspan(at, width);
  const std::span<float> chances = outputs_.chances.subspan(at, width);
  const SamplingParams& params = *all_[row].params;
  if (params.temperature == 0.0F) {
    highest(logits, w_.unit_maxima.data() + row, static_cast<std::size_t>(rows_), h_.weights_.tokens(),
            tokens, chances);
  } else {
    rank(logits, h_.weights_.tokens(), params, std::int64_t{all_[row].position} + 1 + depth_, tokens,
         chances);
  }
  w_.drafts[row] = tokens.front();
}

void HeadsStep::sum_segment(std::size_t row, std::size_t segment) const {
  const auto scores = static_cast<std::size_t>(h_.weights_.scores());
  const std::size_t first = segment * kSegment;
  const std::span<const float> part =
      w_.logits.as<float>().subspan(row * scores + first, std::min(kSegment, scores - first));
  w_.softmax_of(row, static_cast<std::size_t>(depth_))[segment] =
      softmax_part(k_, part, w_.segment_copies[static_cast<std::size_t>(thread_)].as<float>().data());
}

// What is fed on is the normed state.
void HeadsStep::normalise_state(const HeadModule& module) const {
  if (!h_.heads_.output_norm || h_.heads_.wiring == HeadWiring::parallel) return;
  const Range mine = my_blocks();
  for (auto block = static_cast<int>(mine.begin); block < mine.end; ++block) {
    gather(w_.state.columns(block));
    for (int r = 0; r < rows_; ++r) {
      const float* g = module.output_gain.data() + static_cast<std::ptrdiff_t>(block) * kUnit;
      float* x = values() + r * kUnit;
      for (int i = 0; i < kUnit; ++i) x[i] = x[i] * g[i] * s_.head_scale[static_cast<std::size_t>(r)];
    }
    set_zero(w_.state, block);
    add_to(w_.state, block, h_.weights_.ones());
  }
}

}  // namespace mtp_rt::native
