// Extra heads: what they remember of each slot, and drafting with them.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/parallel.h"
#include "engines/native/heads_rows.h"
#include "engines/native/heads_weights.h"
#include "engines/native/heads_workspace.h"
#include "engines/native/trunk.h"

namespace mtp_rt::native {

class Heads {
 public:
  /// For a model with extra heads. `two_stage_margin` is that of q8 scores; empty: all are exact.
  /// Throws UnsupportedError on heads that this engine cannot run.
  Heads(const ModelDir& model, const KernelTable& kernels, const PackedWeights& trunk, ThreadPool& pool,
        int slots, std::optional<float> two_stage_margin);

  /// `row` of the trunk's last run is the last committed row of `slot`.
  void keep(Slot slot, const Trunk& trunk, int row) noexcept;

  /// Runs checked rows; see Engine::draft().
  void draft(std::span<const HeadRow> rows, const DraftOutputs& outputs);

  /// Bytes of weights read per draft of one sequence.
  [[nodiscard]] std::size_t bytes_per_depth() const noexcept {
    return weights_.bytes_per_depth(two_stage_margin_.has_value());
  }

 private:
  friend class HeadsStep;

  [[nodiscard]] std::span<float> state_of(Slot slot) const noexcept {
    return states_.as<float>().subspan(static_cast<std::size_t>(slot) * state_size_, state_size_);
  }
  void finish_chances(std::span<const HeadRow> rows, const DraftOutputs& outputs);

  const ModelConfig config_;
  const HeadsConfig& heads_;
  const KernelTable& kernels_;
  const PackedWeights& trunk_;
  ThreadPool& pool_;
  HeadWeights weights_;
  std::optional<float> two_stage_margin_;
  HeadsWorkspace workspace_;
  std::size_t state_size_;  // floats kept per slot
  AlignedBuffer states_;    // [slots, state_size]
};

}  // namespace mtp_rt::native
