// Extra heads: what they remember of each slot, and drafting with them.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "base/parallel.h"
#include "engines/draft_rows.h"
#include "engines/native/heads_memory.h"
#include "engines/native/heads_stage.h"
#include "engines/native/heads_weights.h"
#include "engines/native/heads_workspace.h"
#include "engines/native/trunk.h"

namespace mtp_rt::native {

class Heads {
 public:
  /// The heads of `model`, which `heads` describes. `two_stage_margin` is that of q8 scores; empty: all are
  /// exact.
  Heads(const ModelDir& model, const HeadsConfig& heads, const KernelTable& kernels,
        const PackedWeights& trunk, ThreadPool& pool, int slots, int context,
        std::optional<float> two_stage_margin);

  /// `row` of the trunk's last run, which reads `token`, is the next committed row of `slot`.
  void keep(Slot slot, const Trunk& trunk, int row, Token token);

  void clear(Slot slot) noexcept { memory_.clear(slot); }

  /// Runs checked rows; see Engine::draft().
  void draft(std::span<const HeadRow> rows, const DraftOutputs& outputs);

  /// Bytes of weights read per draft of one sequence.
  [[nodiscard]] std::size_t bytes_per_depth() const noexcept {
    return weights_.bytes_per_depth(two_stage_margin_.has_value());
  }

 private:
  friend class DraftStep;
  friend class HeadStep;

  // Of the scores at a depth.
  [[nodiscard]] std::optional<float> margin_at(int depth) const noexcept {
    return weights_.unembed_is_q8(depth) ? two_stage_margin_ : std::nullopt;
  }
  [[nodiscard]] std::size_t sequences_at_once(std::span<const HeadRow> rows) const noexcept;
  void plan(HeadsStage& stage) const;
  void run(std::span<const HeadRow> rows, std::span<const HeadsStage> stages, const DraftOutputs& outputs);
  void finish_chances(std::span<const HeadRow> rows, const DraftOutputs& outputs);
  void finish_positions(Slot slot);

  const ModelConfig config_;
  const HeadsConfig heads_;
  const KernelTable& kernels_;
  const PackedWeights& trunk_;
  ThreadPool& pool_;
  HeadWeights weights_;
  std::optional<float> two_stage_margin_;
  HeadsWindow window_;
  HeadsMemory memory_;
  KvCache cache_;  // a layer per module that attends
  std::vector<double> frequencies_;
  HeadsWorkspace workspace_;
  LayerContext context_;
};

}  // namespace mtp_rt::native
