#include "engines/native/trunk_step.h"

#include <algorithm>
#include <cmath>

#include "base/trigonometry.h"
#include "engines/native/lm_head.h"

namespace mtp_rt::native {
namespace {

// Where `layer` stands among `taps`; their number if it does not.
std::size_t place_of(std::int32_t layer, std::span<const std::int32_t> taps) {
  return static_cast<std::size_t>(std::ranges::find(taps, layer) - taps.begin());
}

}  // namespace

void TrunkStep::run() {
  const std::vector<Layer>& layers = t_.weights_.layers();
  embed(layers.front().attention_gain);
  end(Phase::embed);
  for (std::size_t l = 0; l < layers.size(); ++l) {
    const Layer& layer = layers[l];
    read_row_scale();
    project_qkv(layer, static_cast<int>(l));
    end(Phase::qkv);
    attend_items(static_cast<int>(l));
    t_.pool_.barrier();
    fold(layer.out);
    end(Phase::attention);
    project_residual(layer.out, w_.attended.view(), layer.mlp_gain, layer.gate_up, w_.normed.view());
    end(Phase::out);
    read_row_scale();
    project_gate_up(layer);
    t_.pool_.barrier();
    if (l + 1 < layers.size()) {
      project_residual(layer.down, w_.hidden.view(), layers[l + 1].attention_gain, layers[l + 1].qkv,
                       w_.normed.view());
    } else {
      project_last(layer.down);
    }
    end(Phase::mlp);
    tap(static_cast<std::int32_t>(l));
  }
  read_row_scale();
  store_states();
  score_vocabulary();
  end(Phase::head);
}

void TrunkStep::end(Phase phase) {
  t_.pool_.barrier();
  if (thread_ != 0) return;
  const auto now = std::chrono::steady_clock::now();
  t_.seconds_[static_cast<std::size_t>(phase)] += std::chrono::duration<double>(now - last_).count();
  last_ = now;
}

void TrunkStep::add_to_residual(float* values, int block, std::span<const float> gain) const {
  const auto column = static_cast<std::size_t>(block) * kUnit;
  k_.add_residual(values, rows_, gain.data() + column, residual() + column, width_, w_.squares.data() + block,
                  blocks());
}

void TrunkStep::embed(std::span<const float> gain) {
  const Range mine = share(static_cast<std::int64_t>(blocks()), thread_, t_.pool_.threads());
  float* values = s_.unit(0, rows_);
  for (auto block = static_cast<int>(mine.begin); block < mine.end; ++block) {
    for (int r = 0; r < rows_; ++r) {
      const auto row = static_cast<std::size_t>(r);
      t_.weights_.embed(batch_.rows[row].token, block, values + row * kUnit);
      std::fill_n(residual() + row * width_ + static_cast<std::size_t>(block) * kUnit, kUnit, 0.0F);
    }
    add_to_residual(values, block, gain);
    emit(k_, values, rows_, block, t_.weights_.layers().front().qkv, w_.normed.view());
  }
  if (thread_ == 0) fill_rotations();
}

void TrunkStep::fill_rotations() const {
  const auto dim = static_cast<std::size_t>(t_.shape_.head_dim);
  for (std::size_t r = 0; r < batch_.rows.size(); ++r) {
    float* cosines = w_.cosines.data() + r * dim;
    float* sines = w_.sines.data() + r * dim;
    for (std::size_t i = 0; i < dim / 2; ++i) {
      const SineCosine turn = sine_cosine(static_cast<double>(batch_.rows[r].position) * t_.frequencies_[i]);
      cosines[2 * i] = cosines[2 * i + 1] = static_cast<float>(turn.cosine);
      sines[2 * i] = static_cast<float>(-turn.sine);
      sines[2 * i + 1] = static_cast<float>(turn.sine);
    }
  }
}

void TrunkStep::read_row_scale() {
  for (std::size_t r = 0; r < batch_.rows.size(); ++r) s_.row_scale[r] = t_.row_scale(r);
}

void TrunkStep::project_qkv(const Layer& layer, int l) {
  const AttentionShape& shape = t_.shape_;
  constexpr float kLog2E = 1.44269504F;  // scores are powers of 2
  const bool mixes = cache_.shape().kind == KvKind::q8;
  float* values = s_.unit(0, rows_);
  for (const Unit& unit : layer.qkv.units[static_cast<std::size_t>(thread_)]) {
    unit.dot(unit.tiles, w_.normed.view(), s_.row_scale.data(), 0, rows_, values);
    const int first = unit.index * kUnit % shape.head_dim;
    const int head = unit.index * kUnit / shape.head_dim;
    if (head < shape.heads) {
      rotate(values, first, kLog2E / std::sqrt(static_cast<float>(shape.head_dim)));
      if (mixes) k_.mix(values, rows_);
      store_queries(values, head, first / kUnit);
    } else if (head < shape.heads + shape.kv_heads) {
      rotate(values, first, 1.0F);
      if (mixes) k_.mix(values, rows_);
      store_entries(values, KvSide::key, l, head - shape.heads, first / kUnit);
    } else {
      store_entries(values, KvSide::value, l, head - shape.heads - shape.kv_heads, first / kUnit);
    }
  }
}

void TrunkStep::rotate(float* values, int first, float scale) const {
  k_.rotate(values, rows_, w_.cosines.data() + first, w_.sines.data() + first,
            static_cast<std::size_t>(t_.shape_.head_dim), scale);
}

void TrunkStep::store_queries(const float* values, int head, int panel) const {
  const Activations& block = a_.block.view();
  if (cache_.shape().kind == KvKind::q8) k_.quantize(values, rows_, 0, block);
  for (int r = 0; r < rows_; ++r) {
    if (cache_.shape().kind == KvKind::q8) {
      w_.attention.put_query(r, head, panel, block.quantized + r * kBlock, block.scale[r], block.offset[r]);
    } else {
      w_.attention.put_query(r, head, panel, values + r * kUnit);
    }
  }
}

void TrunkStep::store_entries(const float* values, KvSide side, int layer, int head, int panel) const {
  const Activations& block = a_.block.view();
  if (cache_.shape().kind == KvKind::q8) k_.quantize(values, rows_, 0, block);
  for (int r = 0; r < rows_; ++r) {
    const BatchRow& row = batch_.rows[static_cast<std::size_t>(r)];
    const KvPlace place{slot_of(row), layer, head, row.index};
    if (cache_.shape().kind == KvKind::q8) {
      cache_.put(side, place, panel, block.quantized + r * kBlock, block.scale[r]);
    } else {
      cache_.put(side, place, panel, values + r * kUnit);
    }
  }
}

void TrunkStep::attend_items(int layer) const {
  const auto t = static_cast<std::size_t>(thread_);
  const auto items = std::span(batch_.items)
                         .subspan(batch_.item_starts[t], batch_.item_starts[t + 1] - batch_.item_starts[t]);
  a_.worker.run(k_, w_.attention, batch_, items, layer, cache_);
}

void TrunkStep::fold(const Product& next) const {
  const AttentionShape& shape = t_.shape_;
  const Range mine = share(std::int64_t{shape.heads} * shape.head_dim / kUnit, thread_, t_.pool_.threads());
  float* values = s_.unit(0, rows_);
  for (auto block = static_cast<int>(mine.begin); block < mine.end; ++block) {
    const int head = block * kUnit / shape.head_dim;
    for (int r = 0; r < rows_; ++r) {
      const int count = batch_.rows[static_cast<std::size_t>(r)].position / kContextBlock + 1;
      k_.fold(w_.attention.partials(r, head, batch_.context_blocks), count, shape.partial_stride(),
              block * kUnit % shape.head_dim, values + static_cast<std::size_t>(r) * kUnit);
    }
    emit(k_, values, rows_, block, next, w_.attended.view());
  }
}

void TrunkStep::project_residual(const Product& product, const Activations& input,
                                 std::span<const float> gain, const Product& next, const Activations& to) {
  float* values = s_.unit(0, rows_);
  for (const Unit& unit : product.units[static_cast<std::size_t>(thread_)]) {
    unit.dot(unit.tiles, input, w_.ones.data(), 0, rows_, values);
    add_to_residual(values, unit.index, gain);
    emit(k_, values, rows_, unit.index, next, to);
  }
}

void TrunkStep::project_gate_up(const Layer& layer) {
  const GateUp product{layer.gate_up, w_.normed.view(), s_.row_scale.data(),
                       layer.down,    w_.hidden.view(), rows_};
  product.run(k_, thread_, s_.unit(0, rows_), s_.unit(1, rows_));
}

void TrunkStep::project_last(const Product& product) {
  float* values = s_.unit(0, rows_);
  const auto wanted = static_cast<int>(batch_.logit_rows.size());
  for (const Unit& unit : product.units[static_cast<std::size_t>(thread_)]) {
    unit.dot(unit.tiles, w_.hidden.view(), w_.ones.data(), 0, rows_, values);
    add_to_residual(values, unit.index, t_.weights_.final_gain());
    for (int i = 0; i < wanted; ++i) {
      const auto from = static_cast<std::size_t>(batch_.logit_rows[static_cast<std::size_t>(i)]);
      std::copy_n(values + from * kUnit, kUnit, values + static_cast<std::size_t>(i) * kUnit);
    }
    emit(k_, values, wanted, unit.index, t_.weights_.head(), w_.head_input.view());
  }
}

void TrunkStep::tap(std::int32_t layer) const {
  const auto threads = static_cast<std::size_t>(t_.pool_.threads());
  const auto taps = outputs_.taps.size();
  const auto index = place_of(layer, outputs_.taps);
  for (auto i = static_cast<std::size_t>(thread_); index < taps && i < batch_.state_rows.size();
       i += threads) {
    const auto row = static_cast<std::size_t>(batch_.state_rows[i]);
    std::copy_n(residual() + row * width_, width_, outputs_.tapped.data() + (i * taps + index) * width_);
  }
  const auto kept = t_.kept_taps_.size();
  const auto place = place_of(layer, t_.kept_taps_);
  for (auto row = static_cast<std::size_t>(thread_); place < kept && row < batch_.rows.size();
       row += threads) {
    std::copy_n(residual() + row * width_, width_,
                t_.tapped_.as<float>().data() + (row * kept + place) * width_);
  }
}

void TrunkStep::store_states() const {
  for (auto i = static_cast<std::size_t>(thread_); i < batch_.state_rows.size();
       i += static_cast<std::size_t>(t_.pool_.threads())) {
    const auto row = static_cast<std::size_t>(batch_.state_rows[i]);
    const std::span<const float> gain = t_.weights_.final_gain();
    for (std::size_t d = 0; d < width_; ++d) {
      outputs_.states[i * width_ + d] = residual()[row * width_ + d] * gain[d] * s_.row_scale[row];
    }
  }
}

void TrunkStep::score_vocabulary() {
  if (batch_.logit_rows.empty()) return;
  for (std::size_t i = 0; i < batch_.logit_rows.size(); ++i) {
    s_.head_scale[i] = s_.row_scale[static_cast<std::size_t>(batch_.logit_rows[i])];
  }
  const LmHead head{k_,
                    t_.weights_.head(),
                    t_.config_.vocab_size,
                    static_cast<int>(batch_.logit_rows.size()),
                    t_.two_stage_margin_,
                    w_.head_input.view(),
                    w_.unit_maxima,
                    w_.threads};
  head.run(thread_, t_.pool_, outputs_.logits);
}

}  // namespace mtp_rt::native
