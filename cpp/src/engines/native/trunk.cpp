#include "engines/native/trunk.h"

#include "base/trigonometry.h"
#include "engines/native/trunk_step.h"

namespace mtp_rt::native {

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
