#include "engines/native/layer_step.h"

#include <algorithm>
#include <cmath>

#include "base/trigonometry.h"

namespace mtp_rt::native {

std::vector<double> rotation_frequencies(const ModelConfig& config) {
  std::vector<double> frequencies;
  const double step = logarithm(config.rope_theta) * 2.0 / static_cast<double>(config.head_dim);
  for (int i = 0; i < config.head_dim / 2; ++i)
    frequencies.push_back(exponential(-step * static_cast<double>(i)));
  return frequencies;
}

float row_scale(std::span<const float> squares, float eps) noexcept {
  float total = 0.0F;
  for (const float block : squares) total += block;
  return 1.0F / std::sqrt(total / static_cast<float>(squares.size() * kUnit) + eps);
}

LayerStep::LayerStep(const LayerContext& context, const Batch& batch, KvCache& cache, int thread)
    : c_(context),
      k_(context.kernels),
      w_(context.workspace),
      s_(w_.threads[static_cast<std::size_t>(thread)]),
      a_(w_.attention_threads[static_cast<std::size_t>(thread)]),
      batch_(batch),
      cache_(cache),
      thread_(thread),
      rows_(static_cast<int>(batch.rows.size())),
      width_(w_.width),
      blocks_(w_.width / kUnit) {}

void LayerStep::fill_rotations() const {
  const auto dim = static_cast<std::size_t>(c_.shape.head_dim);
  for (std::size_t r = 0; r < batch_.rows.size(); ++r) {
    float* cosines = w_.cosines.data() + r * dim;
    float* sines = w_.sines.data() + r * dim;
    for (std::size_t i = 0; i < dim / 2; ++i) {
      const SineCosine turn = sine_cosine(static_cast<double>(batch_.rows[r].position) * c_.frequencies[i]);
      cosines[2 * i] = cosines[2 * i + 1] = static_cast<float>(turn.cosine);
      sines[2 * i] = static_cast<float>(-turn.sine);
      sines[2 * i + 1] = static_cast<float>(turn.sine);
    }
  }
}

void LayerStep::project_qkv(const Layer& layer, int index) const {
  const AttentionShape& shape = c_.shape;
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
      store_entries(values, KvSide::key, index, head - shape.heads, first / kUnit);
    } else {
      store_entries(values, KvSide::value, index, head - shape.heads - shape.kv_heads, first / kUnit);
    }
  }
}

void LayerStep::rotate(float* values, int first, float scale) const {
  k_.rotate(values, rows_, w_.cosines.data() + first, w_.sines.data() + first,
            static_cast<std::size_t>(c_.shape.head_dim), scale);
}

void LayerStep::store_queries(const float* values, int head, int panel) const {
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

void LayerStep::store_entries(const float* values, KvSide side, int index, int head, int panel) const {
  const Activations& block = a_.block.view();
  if (cache_.shape().kind == KvKind::q8) k_.quantize(values, rows_, 0, block);
  for (int r = 0; r < rows_; ++r) {
    const BatchRow& row = batch_.rows[static_cast<std::size_t>(r)];
    const KvPlace place{slot_of(row), index, head, row.index};
    if (cache_.shape().kind == KvKind::q8) {
      cache_.put(side, place, panel, block.quantized + r * kBlock, block.scale[r]);
    } else {
      cache_.put(side, place, panel, values + r * kUnit);
    }
  }
}

void LayerStep::attend(int index) const {
  const auto t = static_cast<std::size_t>(thread_);
  const auto items = std::span(batch_.items)
                         .subspan(batch_.item_starts[t], batch_.item_starts[t + 1] - batch_.item_starts[t]);
  a_.worker.run(k_, w_.attention, batch_, items, index, cache_);
}

void LayerStep::fold(const Product& next) const {
  const AttentionShape& shape = c_.shape;
  const Range mine = share(std::int64_t{shape.heads} * shape.head_dim / kUnit, thread_, c_.pool.threads());
  float* values = s_.unit(0, rows_);
  for (auto block = static_cast<int>(mine.begin); block < mine.end; ++block) {
    const int head = block * kUnit / shape.head_dim;
    for (int r = 0; r < rows_; ++r) {
      const BatchRow& row = batch_.rows[static_cast<std::size_t>(r)];
      const int first = first_position(batch_, row) / kContextBlock;
      const int count = row.position / kContextBlock + 1 - first;
      const float* partials = w_.attention.partials(r, head, batch_.context_blocks) +
                              static_cast<std::size_t>(first) * shape.partial_stride();
      k_.fold(partials, count, shape.partial_stride(), block * kUnit % shape.head_dim,
              values + static_cast<std::size_t>(r) * kUnit);
    }
    emit(k_, values, rows_, block, next, w_.attended.view());
  }
}

void LayerStep::project_residual(const Product& product, const Activations& input,
                                 std::span<const float> gain, const Product& next,
                                 const Activations& to) const {
  float* values = s_.unit(0, rows_);
  for (const Unit& unit : product.units[static_cast<std::size_t>(thread_)]) {
    unit.dot(unit.tiles, input, w_.ones.data(), 0, rows_, values);
    add_to_residual(values, unit.index, gain);
    emit(k_, values, rows_, unit.index, next, to);
  }
}

void LayerStep::project_gate_up(const Layer& layer) const {
  const GateUp product{layer.gate_up, w_.normed.view(), s_.row_scale.data(),
                       layer.down,    w_.hidden.view(), rows_};
  product.run(k_, thread_, s_.unit(0, rows_), s_.unit(1, rows_));
}

void LayerStep::add_to_residual(float* values, int block, std::span<const float> gain) const {
  const auto column = static_cast<std::size_t>(block) * kUnit;
  k_.add_residual(values, rows_, gain.data() + column, w_.residual.as<float>().data() + column, width_,
                  w_.squares.data() + block, blocks_);
}

void LayerStep::read_row_scale() const {
  for (std::size_t r = 0; r < batch_.rows.size(); ++r) {
    s_.row_scale[r] = row_scale(std::span(w_.squares).subspan(r * blocks_, blocks_), c_.eps);
  }
}

}  // namespace mtp_rt::native
