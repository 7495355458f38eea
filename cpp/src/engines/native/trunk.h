// The transformer: rows of a batch through all layers and the head, one pass over the weights.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <vector>

#include "base/parallel.h"
#include "engines/native/attention.h"
#include "engines/native/batch.h"
#include "engines/native/kv_cache.h"
#include "engines/native/layer_step.h"
#include "engines/native/packed_weights.h"
#include "engines/native/workspace.h"

namespace mtp_rt::native {

/// Where the time of a call goes.
enum class Phase { embed, qkv, attention, out, mlp, head, count };

using PhaseSeconds = std::array<double, static_cast<std::size_t>(Phase::count)>;

class Trunk {
 public:
  /// `two_stage_margin` empty: every logit is exact.
  Trunk(const ModelConfig& config, const KernelTable& kernels, const PackedWeights& weights, ThreadPool& pool,
        const KvCache& cache, int max_rows, int context, std::optional<float> two_stage_margin);

  /// Runs `batch`; writes the rows' keys and values behind the committed positions of `cache`.
  void run(const Batch& batch, KvCache& cache, const VerifyOutputs& outputs);

  /// Seconds of the last run by phase, as the calling thread saw them.
  [[nodiscard]] const PhaseSeconds& seconds() const noexcept { return seconds_; }

  /// What extra heads read of row `row` of the last run: its state after the final norm, or its kept taps one
  /// after the other. `out` has hidden_size times max(1, kept taps) elements.
  void copy_state(int row, std::span<float> out) const noexcept;

  [[nodiscard]] const AttentionShape& shape() const noexcept { return context_.shape; }

 private:
  friend class TrunkStep;

  const ModelConfig config_;
  const KernelTable& kernels_;
  const PackedWeights& weights_;
  ThreadPool& pool_;
  std::vector<double> frequencies_;
  std::optional<float> two_stage_margin_;
  std::vector<std::int32_t> kept_taps_;  // layers whose output is kept of every row, for extra heads
  AlignedBuffer tapped_;                 // [rows, kept taps, hidden]
  Workspace workspace_;
  LayerContext context_;
  PhaseSeconds seconds_{};
};

}  // namespace mtp_rt::native
