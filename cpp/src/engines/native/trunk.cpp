#include "engines/native/trunk.h"

#include <algorithm>
#include <cmath>

#include "base/trigonometry.h"
#include "engines/native/trunk_step.h"

namespace mtp_rt::native {

Trunk::Trunk(const ModelConfig& config, const KernelTable& kernels, const PackedWeights& weights,
             ThreadPool& pool, const KvCache& cache, int max_rows, int context,
             std::optional<float> two_stage_margin)
    : config_(config),
      kernels_(kernels),
      weights_(weights),
      pool_(pool),
      shape_{config.heads, config.kv_heads, config.head_dim},
      two_stage_margin_(weights.head_is_q8() ? two_stage_margin : std::nullopt),
      workspace_(config, cache, max_rows, context, pool.threads()) {
  if (config.extra_heads) kept_taps_ = config.extra_heads->taps;
  tapped_ = AlignedBuffer(static_cast<std::size_t>(max_rows) * kept_taps_.size() *
                          static_cast<std::size_t>(config.hidden_size) * sizeof(float));
  const double step = logarithm(config.rope_theta) * 2.0 / static_cast<double>(config.head_dim);
  for (int i = 0; i < config.head_dim / 2; ++i)
    frequencies_.push_back(exponential(-step * static_cast<double>(i)));
}

float Trunk::row_scale(std::size_t row) const noexcept {
  const auto blocks = static_cast<std::size_t>(config_.hidden_size / kUnit);
  float total = 0.0F;
  for (std::size_t b = 0; b < blocks; ++b) total += workspace_.squares[row * blocks + b];
  return 1.0F / std::sqrt(total / static_cast<float>(config_.hidden_size) + config_.rms_norm_eps);
}

void Trunk::copy_state(int row, std::span<float> out) const noexcept {
  const auto width = static_cast<std::size_t>(config_.hidden_size);
  const auto index = static_cast<std::size_t>(row);
  if (!kept_taps_.empty()) {
    const std::size_t size = kept_taps_.size() * width;
    std::copy_n(tapped_.as<float>().data() + index * size, size, out.data());
    return;
  }
  const float scale = row_scale(index);
  const float* const residual = workspace_.residual.as<float>().data() + index * width;
  for (std::size_t d = 0; d < width; ++d) out[d] = residual[d] * weights_.final_gain()[d] * scale;
}

void Trunk::run(const Batch& batch, KvCache& cache, const VerifyOutputs& outputs) {
  seconds_.fill(0.0);
  pool_.run([&](int thread) { TrunkStep(*this, batch, cache, outputs, thread).run(); });
}

}  // namespace mtp_rt::native
