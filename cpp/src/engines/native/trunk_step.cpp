#include "engines/native/trunk_step.h"

#include <algorithm>

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
  embed(layers.front());
  end(Phase::embed);
  for (std::size_t l = 0; l < layers.size(); ++l) {
    const Layer& layer = layers[l];
    l_.read_row_scale();
    l_.project_qkv(layer, static_cast<int>(l));
    end(Phase::qkv);
    l_.attend(static_cast<int>(l));
    t_.pool_.barrier();
    l_.fold(layer.out);
    end(Phase::attention);
    l_.project_residual(layer.out, w_.attended.view(), layer.mlp_gain, layer.gate_up, w_.normed.view());
    end(Phase::out);
    l_.read_row_scale();
    l_.project_gate_up(layer);
    t_.pool_.barrier();
    if (l + 1 < layers.size()) {
      l_.project_residual(layer.down, w_.hidden.view(), layers[l + 1].attention_gain, layers[l + 1].qkv,
                          w_.normed.view());
    } else {
      project_last(layer.down);
    }
    end(Phase::mlp);
    tap(static_cast<std::int32_t>(l));
  }
  l_.read_row_scale();
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

void TrunkStep::embed(const Layer& first) const {
  const Range mine = share(static_cast<std::int64_t>(width_ / kBlock), thread_, t_.pool_.threads());
  float* values = s_.unit(0, rows_);
  for (auto block = static_cast<int>(mine.begin); block < mine.end; ++block) {
    for (int r = 0; r < rows_; ++r) {
      const auto row = static_cast<std::size_t>(r);
      t_.weights_.embed(batch_.rows[row].token, block, values + row * kUnit);
      std::fill_n(residual() + row * width_ + static_cast<std::size_t>(block) * kUnit, kUnit, 0.0F);
    }
    l_.add_to_residual(values, block, first.attention_gain);
    emit(k_, values, rows_, block, first.qkv, w_.normed.view());
  }
  if (thread_ == 0) l_.fill_rotations();
}

void TrunkStep::project_last(const Product& product) const {
  float* values = s_.unit(0, rows_);
  const auto wanted = static_cast<int>(batch_.logit_rows.size());
  for (const Unit& unit : product.units[static_cast<std::size_t>(thread_)]) {
    unit.dot(unit.tiles, w_.hidden.view(), w_.ones.data(), 0, rows_, values);
    l_.add_to_residual(values, unit.index, t_.weights_.final_gain());
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
