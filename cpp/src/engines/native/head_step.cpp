#include "engines/native/head_step.h"

#include <algorithm>

namespace mtp_rt::native {

HeadStep::HeadStep(Heads& heads, std::span<const HeadRow> sequences, const HeadsStage& stage, int depth,
                   const DraftOutputs& outputs, int thread)
    : h_(heads),
      w_(heads.workspace_),
      l_(w_.layer),
      m_(heads.weights_.module(depth)),
      k_(heads.kernels_),
      sequences_(sequences),
      stage_(stage),
      outputs_(outputs),
      depth_(depth),
      thread_(thread),
      layer_(heads.context_, stage.batch, heads.cache_, thread),
      s_(l_.threads[static_cast<std::size_t>(thread)]),
      scales_(w_.state_scales[static_cast<std::size_t>(thread)]),
      rows_(layer_.rows()),
      blocks_(heads.config_.hidden_size / kUnit),
      width_(static_cast<std::size_t>(heads.config_.hidden_size)) {}

void HeadStep::run() const {
  if (h_.window_.attends && thread_ == 0) layer_.fill_rotations();
  read_input();
  h_.pool_.barrier();
  switch (h_.heads_.body) {
    case HeadBody::linear:
      return run_product(m_.linear, w_.input.view());
    case HeadBody::residual: {
      const GateUp inner{m_.block.gate_up, w_.input.view(),  l_.ones.data(),
                         m_.block.down,    l_.hidden.view(), rows_};
      inner.run(k_, thread_, s_.unit(0, rows_), s_.unit(1, rows_));
      h_.pool_.barrier();
      return run_product(m_.block.down, l_.hidden.view());
    }
    case HeadBody::block:
      return run_block();
  }
}

void HeadStep::gather(const float* from) const {
  float* to = layer_.values();
  for (int r = 0; r < rows_; ++r, from += width_, to += kUnit) std::copy_n(from, kUnit, to);
}

void HeadStep::scatter(float* to) const {
  const float* from = layer_.values();
  for (int r = 0; r < rows_; ++r, from += kUnit, to += width_) std::copy_n(from, kUnit, to);
}

void HeadStep::normalise(std::span<const float> gain, int block, std::span<const float> scales) const {
  const float* g = gain.data() + static_cast<std::ptrdiff_t>(block) * kUnit;
  float* x = layer_.values();
  for (const float scale : scales) {
    for (int i = 0; i < kUnit; ++i) x[i] = x[i] * g[i] * scale;
    x += kUnit;
  }
}

void HeadStep::set_state(int block, int rows, std::span<const float> gain) const {
  float* const state = columns(l_.residual, block);
  for (int r = 0; r < rows; ++r) std::fill_n(state + static_cast<std::size_t>(r) * width_, kUnit, 0.0F);
  k_.add_residual(layer_.values(), rows, gain.data() + static_cast<std::ptrdiff_t>(block) * kUnit, state,
                  width_, l_.squares.data() + block, static_cast<std::size_t>(blocks_));
}

void HeadStep::enter_block() const {
  const auto enter = [this](int block) {
    set_state(block, rows_, m_.block.attention_gain);
    emit(k_, layer_.values(), rows_, block, m_.block.qkv, l_.normed.view());
  };
  if (h_.heads_.wiring == HeadWiring::sequential) {
    for (const Unit& unit : m_.input.units[static_cast<std::size_t>(thread_)]) {
      unit.dot(unit.tiles, w_.input.view(), l_.ones.data(), 0, rows_, layer_.values());
      enter(unit.index);
    }
    return;
  }
  const Range mine = my_blocks();
  for (auto block = static_cast<int>(mine.begin); block < mine.end; ++block) {
    gather(columns(source(), block));
    enter(block);
  }
}

void HeadStep::run_block() const {
  const int index = h_.heads_.shared ? 0 : depth_;
  enter_block();
  h_.pool_.barrier();
  layer_.read_row_scale();
  layer_.project_qkv(m_.block, index);
  h_.pool_.barrier();
  layer_.attend(index);
  h_.pool_.barrier();
  layer_.fold(m_.block.out);
  h_.pool_.barrier();
  layer_.project_residual(m_.block.out, l_.attended.view(), m_.block.mlp_gain, m_.block.gate_up,
                          l_.normed.view());
  h_.pool_.barrier();
  layer_.read_row_scale();
  layer_.project_gate_up(m_.block);
  h_.pool_.barrier();
  run_product(m_.block.down, l_.hidden.view());
}

void HeadStep::run_product(const Product& product, const Activations& input) const {
  for (const Unit& unit : product.units[static_cast<std::size_t>(thread_)]) {
    unit.dot(unit.tiles, input, l_.ones.data(), 0, rows_, layer_.values());
    put_output(unit.index);
  }
}

// values() is the last product in 32 columns: added to what the body adds it to, it is the head's state.
void HeadStep::put_output(int block) const {
  float* state = columns(l_.residual, block);
  if (h_.heads_.body == HeadBody::linear) {
    set_state(block, rows_, m_.output_gain);
  } else {
    const bool from_origin = h_.heads_.body == HeadBody::residual && h_.heads_.wiring == HeadWiring::parallel;
    const float* origin = columns(w_.origin, block);
    for (int r = 0; from_origin && r < rows_; ++r, state += width_, origin += width_) {
      std::copy_n(origin, kUnit, state);
    }
    layer_.add_to_residual(layer_.values(), block, m_.output_gain);
  }
  float* const values = layer_.values();
  for (std::size_t i = 0; i < stage_.scored.size(); ++i) {
    std::copy_n(values + static_cast<std::ptrdiff_t>(stage_.scored[i]) * kUnit, kUnit, values + i * kUnit);
  }
  emit(k_, values, static_cast<int>(stage_.scored.size()), block, h_.weights_.unembed(depth_),
       l_.head_input.view());
}

void HeadStep::read_scales() const {
  const auto blocks = static_cast<std::size_t>(blocks_);
  for (std::size_t r = 0; h_.heads_.output_norm && r < static_cast<std::size_t>(rows_); ++r) {
    scales_[r] = row_scale(std::span(l_.squares).subspan(r * blocks, blocks), h_.config_.rms_norm_eps);
  }
}

void HeadStep::put_head_scales() const {
  for (std::size_t i = 0; i < stage_.scored.size(); ++i) {
    s_.head_scale[i] = h_.heads_.output_norm ? scales_[static_cast<std::size_t>(stage_.scored[i])] : 1.0F;
  }
}

void HeadStep::feed_on() const {
  if (h_.heads_.wiring == HeadWiring::parallel) return;
  const bool from_scored = h_.window_.attends && h_.window_.one_cache && depth_ == 0;
  if (!h_.heads_.output_norm && !from_scored) return;
  const std::size_t rows = from_scored ? stage_.scored.size() : static_cast<std::size_t>(rows_);
  const Range mine = my_blocks();
  for (auto block = static_cast<int>(mine.begin); block < mine.end; ++block) {
    gather(columns(l_.residual, block));
    if (h_.heads_.output_norm) {
      normalise(m_.output_gain, block, std::span(scales_).first(static_cast<std::size_t>(rows_)));
    }
    float* const values = layer_.values();
    for (std::size_t i = 0; from_scored && i < rows; ++i) {
      std::copy_n(values + static_cast<std::ptrdiff_t>(stage_.scored[i]) * kUnit, kUnit, values + i * kUnit);
    }
    set_state(block, static_cast<int>(rows), h_.weights_.ones());
  }
}

}  // namespace mtp_rt::native
