#include "engines/native/trunk.h"

#include <algorithm>
#include <cmath>

#include "base/trigonometry.h"
#include "engines/native/lm_head.h"

namespace mtp_rt::native {

// One thread's part of one run. Phases end in a barrier where another thread's results come next.
class TrunkStep {
 public:
  TrunkStep(Trunk& trunk, const Batch& batch, KvCache& cache, const VerifyOutputs& outputs, int thread)
      : t_(trunk),
        k_(trunk.kernels_),
        w_(trunk.workspace_),
        s_(w_.threads[static_cast<std::size_t>(thread)]),
        batch_(batch),
        cache_(cache),
        outputs_(outputs),
        thread_(thread),
        rows_(static_cast<int>(batch.rows.size())),
        width_(static_cast<std::size_t>(trunk.config_.hidden_size)),
        last_(std::chrono::steady_clock::now()) {}

  void run() {
    const std::vector<Layer>& layers = t_.weights_.layers();
    embed(layers.front().attention_gain);
    end(Phase::embed);
    for (std::size_t l = 0; l < layers.size(); ++l) {
      const Layer& layer = layers[l];
      read_row_scale();
      project_qkv(layer, static_cast<int>(l));
      end(Phase::qkv);
      for (std::size_t i = static_cast<std::size_t>(thread_); i < batch_.items.size();
           i += static_cast<std::size_t>(t_.pool_.threads())) {
        attend(k_, t_.shape_, batch_, batch_.items[i], static_cast<int>(l), cache_, w_, s_);
      }
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

 private:
  void end(Phase phase) {
    t_.pool_.barrier();
    if (thread_ != 0) return;
    const auto now = std::chrono::steady_clock::now();
    t_.seconds_[static_cast<std::size_t>(phase)] += std::chrono::duration<double>(now - last_).count();
    last_ = now;
  }

  [[nodiscard]] std::size_t blocks() const { return width_ / kBlock; }
  [[nodiscard]] float* residual() const { return w_.residual.as<float>().data(); }

  // Hands 32 columns of `rows` rows to the product that reads them next.
  void emit(const float* values, int rows, int block, const Product& next, const Activations& to) const {
    if (next.takes_quantized) k_.quantize(values, rows, block, to);
    if (!next.takes_values) return;
    for (int r = 0; r < rows; ++r, values += kUnit) {
      const auto at = static_cast<std::size_t>((r / kPanel * to.blocks + block) * kPanel + r % kPanel);
      std::copy_n(values, kBlock, to.values + at * kBlock);
    }
  }

  void add_to_residual(float* values, int block, std::span<const float> gain) const {
    const auto column = static_cast<std::size_t>(block) * kUnit;
    k_.add_residual(values, rows_, gain.data() + column, residual() + column, width_,
                    w_.squares.data() + block, blocks());
  }

  void embed(std::span<const float> gain) {
    const Range mine = share(static_cast<std::int64_t>(blocks()), thread_, t_.pool_.threads());
    float* values = s_.unit(0, rows_);
    for (auto block = static_cast<int>(mine.begin); block < mine.end; ++block) {
      for (int r = 0; r < rows_; ++r) {
        const auto row = static_cast<std::size_t>(r);
        t_.weights_.embed(batch_.rows[row].token, block, values + row * kUnit);
        std::fill_n(residual() + row * width_ + static_cast<std::size_t>(block) * kUnit, kUnit, 0.0F);
      }
      add_to_residual(values, block, gain);
      emit(values, rows_, block, t_.weights_.layers().front().qkv, w_.normed.view());
    }
    if (thread_ == 0) fill_rotations();
  }

  void fill_rotations() const {
    const auto dim = static_cast<std::size_t>(t_.shape_.head_dim);
    for (std::size_t r = 0; r < batch_.rows.size(); ++r) {
      float* cosines = w_.cosines.data() + r * dim;
      float* sines = w_.sines.data() + r * dim;
      for (std::size_t i = 0; i < dim / 2; ++i) {
        const SineCosine turn =
            sine_cosine(static_cast<double>(batch_.rows[r].position) * t_.frequencies_[i]);
        cosines[2 * i] = cosines[2 * i + 1] = static_cast<float>(turn.cosine);
        sines[2 * i] = static_cast<float>(-turn.sine);
        sines[2 * i + 1] = static_cast<float>(turn.sine);
      }
    }
  }

  // 1 / rms of every row's residual: the norm's scale, applied to products instead of their inputs.
  void read_row_scale() {
    for (std::size_t r = 0; r < batch_.rows.size(); ++r) {
      float total = 0.0F;
      for (std::size_t b = 0; b < blocks(); ++b) total += w_.squares[r * blocks() + b];
      s_.row_scale[r] = 1.0F / std::sqrt(total / static_cast<float>(width_) + t_.config_.rms_norm_eps);
    }
  }

  void project_qkv(const Layer& layer, int l) {
    const AttentionShape& shape = t_.shape_;
    float* values = s_.unit(0, rows_);
    for (const Unit& unit : layer.qkv.units[static_cast<std::size_t>(thread_)]) {
      unit.dot(unit.tiles, w_.normed.view(), s_.row_scale.data(), rows_, values);
      const int column = unit.index * kUnit;
      const int first = column % shape.head_dim;
      const int head = column / shape.head_dim;
      if (head < shape.heads) {
        rotate(values, first, 1.0F / std::sqrt(static_cast<float>(shape.head_dim)));
        store_queries(values, column);
      } else if (head < shape.heads + shape.kv_heads) {
        rotate(values, first, 1.0F);
        store_keys(values, l, head - shape.heads, first);
      } else {
        store_values(values, l, head - shape.heads - shape.kv_heads, first);
      }
    }
  }

  void rotate(float* values, int first, float scale) const {
    k_.rotate(values, rows_, w_.cosines.data() + first, w_.sines.data() + first,
              static_cast<std::size_t>(t_.shape_.head_dim), scale);
  }

  void store_queries(const float* values, int column) const {
    const auto stride =
        static_cast<std::size_t>(t_.shape_.heads) * static_cast<std::size_t>(t_.shape_.head_dim);
    float* to = w_.queries.as<float>().data() + column;
    for (int r = 0; r < rows_; ++r, values += kUnit, to += stride) std::copy_n(values, kUnit, to);
  }

  [[nodiscard]] Slot slot_of(const BatchRow& row) const {
    return batch_.segments[static_cast<std::size_t>(row.segment)].slot;
  }

  void store_keys(const float* values, int layer, int head, int first) const {
    std::array<std::uint16_t, kUnit> half;
    for (const BatchRow& row : batch_.rows) {
      k_.to_half(values, half.data());
      cache_.put_key(cache_.keys(slot_of(row), layer, head), row.index, first, half.data());
      values += kUnit;
    }
  }

  void store_values(const float* values, int layer, int head, int first) const {
    for (const BatchRow& row : batch_.rows) {
      std::uint16_t* to = cache_.values(slot_of(row), layer, head);
      k_.to_half(values, to + row.index * std::ptrdiff_t{t_.shape_.head_dim} + first);
      values += kUnit;
    }
  }

  void fold(const Product& next) const {
    const AttentionShape& shape = t_.shape_;
    const Range mine = share(std::int64_t{shape.heads} * shape.head_dim / kUnit, thread_, t_.pool_.threads());
    float* values = s_.unit(0, rows_);
    for (auto block = static_cast<int>(mine.begin); block < mine.end; ++block) {
      const int head = block * kUnit / shape.head_dim;
      for (int r = 0; r < rows_; ++r) {
        const int count = batch_.rows[static_cast<std::size_t>(r)].position / kContextBlock + 1;
        k_.fold(partials_of(w_, shape, batch_, r, head), count, shape.partial_stride(),
                block * kUnit % shape.head_dim, values + static_cast<std::size_t>(r) * kUnit);
      }
      emit(values, rows_, block, next, w_.attended.view());
    }
  }

  void project_residual(const Product& product, const Activations& input, std::span<const float> gain,
                        const Product& next, const Activations& to) {
    float* values = s_.unit(0, rows_);
    for (const Unit& unit : product.units[static_cast<std::size_t>(thread_)]) {
      unit.dot(unit.tiles, input, w_.ones.data(), rows_, values);
      add_to_residual(values, unit.index, gain);
      emit(values, rows_, unit.index, next, to);
    }
  }

  void project_gate_up(const Layer& layer) {
    float* gate = s_.unit(0, rows_);
    float* up = s_.unit(1, rows_);
    const std::vector<Unit>& units = layer.gate_up.units[static_cast<std::size_t>(thread_)];
    for (std::size_t i = 0; i < units.size(); i += 2) {
      units[i].dot(units[i].tiles, w_.normed.view(), s_.row_scale.data(), rows_, gate);
      units[i + 1].dot(units[i + 1].tiles, w_.normed.view(), s_.row_scale.data(), rows_, up);
      k_.swiglu(gate, up, rows_);
      emit(gate, rows_, units[i].index / 2, layer.down, w_.hidden.view());
    }
  }

  // The last residual: only rows that want logits go on to the head.
  void project_last(const Product& product) {
    float* values = s_.unit(0, rows_);
    const auto wanted = static_cast<int>(batch_.logit_rows.size());
    for (const Unit& unit : product.units[static_cast<std::size_t>(thread_)]) {
      unit.dot(unit.tiles, w_.hidden.view(), w_.ones.data(), rows_, values);
      add_to_residual(values, unit.index, t_.weights_.final_gain());
      for (int i = 0; i < wanted; ++i) {
        const auto from = static_cast<std::size_t>(batch_.logit_rows[static_cast<std::size_t>(i)]);
        std::copy_n(values + from * kUnit, kUnit, values + static_cast<std::size_t>(i) * kUnit);
      }
      emit(values, wanted, unit.index, t_.weights_.head(), w_.head_input.view());
    }
  }

  void tap(std::int32_t layer) const {
    const auto taps = outputs_.taps.size();
    const auto* at = std::find(outputs_.taps.data(), outputs_.taps.data() + taps, layer);
    const auto index = static_cast<std::size_t>(at - outputs_.taps.data());
    if (index == taps) return;
    for (auto i = static_cast<std::size_t>(thread_); i < batch_.state_rows.size();
         i += static_cast<std::size_t>(t_.pool_.threads())) {
      const auto row = static_cast<std::size_t>(batch_.state_rows[i]);
      std::copy_n(residual() + row * width_, width_, outputs_.tapped.data() + (i * taps + index) * width_);
    }
  }

  void store_states() const {
    for (auto i = static_cast<std::size_t>(thread_); i < batch_.state_rows.size();
         i += static_cast<std::size_t>(t_.pool_.threads())) {
      const auto row = static_cast<std::size_t>(batch_.state_rows[i]);
      const std::span<const float> gain = t_.weights_.final_gain();
      for (std::size_t d = 0; d < width_; ++d) {
        outputs_.states[i * width_ + d] = residual()[row * width_ + d] * gain[d] * s_.row_scale[row];
      }
    }
  }

  void score_vocabulary() {
    if (batch_.logit_rows.empty()) return;
    for (std::size_t i = 0; i < batch_.logit_rows.size(); ++i) {
      s_.head_scale[i] = s_.row_scale[static_cast<std::size_t>(batch_.logit_rows[i])];
    }
    const LmHead head{k_, t_.weights_.head(), t_.config_.vocab_size,
                      static_cast<int>(batch_.logit_rows.size()), t_.two_stage_margin_};
    head.run(w_, thread_, t_.pool_, outputs_.logits);
  }

  Trunk& t_;
  const KernelTable& k_;
  Workspace& w_;
  ThreadScratch& s_;
  const Batch& batch_;
  KvCache& cache_;
  const VerifyOutputs& outputs_;
  int thread_;
  int rows_;
  std::size_t width_;
  std::chrono::steady_clock::time_point last_;
};

Trunk::Trunk(const ModelConfig& config, const KernelTable& kernels, const PackedWeights& weights,
             ThreadPool& pool, int max_rows, int context, std::optional<float> two_stage_margin)
    : config_(config),
      kernels_(kernels),
      weights_(weights),
      pool_(pool),
      shape_{config.heads, config.kv_heads, config.head_dim},
      two_stage_margin_(weights.head_is_q8() ? two_stage_margin : std::nullopt),
      workspace_(config, max_rows, context, pool.threads()) {
  const double step = logarithm(config.rope_theta) * 2.0 / static_cast<double>(config.head_dim);
  for (int i = 0; i < config.head_dim / 2; ++i)
    frequencies_.push_back(exponential(-step * static_cast<double>(i)));
}

void Trunk::run(const Batch& batch, KvCache& cache, const VerifyOutputs& outputs) {
  seconds_.fill(0.0);
  pool_.run([&](int thread) { TrunkStep(*this, batch, cache, outputs, thread).run(); });
}

}  // namespace mtp_rt::native
