#include "engines/native/trunk.h"

#include <algorithm>

#include "engines/native/trunk_step.h"

namespace mtp_rt::native {

Trunk::Trunk(const ModelConfig& config, const KernelTable& kernels, const PackedWeights& weights,
             ThreadPool& pool, const KvCache& cache, int max_rows, int context,
             std::optional<float> two_stage_margin)
    : config_(config),
      kernels_(kernels),
      weights_(weights),
      pool_(pool),
      frequencies_(rotation_frequencies(config)),
      two_stage_margin_(weights.head_is_q8() ? two_stage_margin : std::nullopt),
      workspace_(config, cache, max_rows, context, pool.threads()),
      context_{kernels,      pool,      {config.heads, config.kv_heads, config.head_dim}, config.rms_norm_eps,
               frequencies_, workspace_} {
  if (config.extra_heads) kept_taps_ = config.extra_heads->taps;
  tapped_ = AlignedBuffer(static_cast<std::size_t>(max_rows) * kept_taps_.size() *
                          static_cast<std::size_t>(config.hidden_size) * sizeof(float));
}

void Trunk::copy_state(int row, std::span<float> out) const noexcept {
  const auto width = static_cast<std::size_t>(config_.hidden_size);
  const auto index = static_cast<std::size_t>(row);
  if (!kept_taps_.empty()) {
    const std::size_t size = kept_taps_.size() * width;
    std::copy_n(tapped_.as<float>().data() + index * size, size, out.data());
    return;
  }
  const std::size_t blocks = width / kUnit;
  const float scale =
      row_scale(std::span(workspace_.squares).subspan(index * blocks, blocks), config_.rms_norm_eps);
  const float* const residual = workspace_.residual.as<float>().data() + index * width;
  for (std::size_t d = 0; d < width; ++d) out[d] = residual[d] * weights_.final_gain()[d] * scale;
}

void Trunk::run(const Batch& batch, KvCache& cache, const VerifyOutputs& outputs) {
  seconds_.fill(0.0);
  pool_.run([&](int thread) { TrunkStep(*this, batch, cache, outputs, thread).run(); });
}

}  // namespace mtp_rt::native
