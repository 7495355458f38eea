// The weights of extra heads, packed as the trunk's are.
#pragma once

#include <cstddef>
#include <deque>
#include <span>
#include <vector>

#include "base/parallel.h"
#include "engines/native/packed_weights.h"
#include "mtp_rt/model_dir.h"
#include "sampling/token_noise.h"

namespace mtp_rt::native {

/// One head's weights; what its wiring and body do not have is empty.
struct HeadModule {
  std::span<const float> state_gain;   // [hidden]
  std::span<const float> embed_gain;   // [hidden]
  std::span<const float> output_gain;  // [hidden]; ones where the head has no output norm
  Product linear;
  Product input;  // of a sequential block: [state; embedding] to hidden
  Layer block;    // a residual body has its gate_up and down

  /// What reads the head's input.
  [[nodiscard]] const Product& first(const HeadsConfig& config) const noexcept;
};

class HeadWeights {
 public:
  /// Packs the heads of `model`, which `heads` describes. `trunk` outlives this.
  HeadWeights(const ModelDir& model, const HeadsConfig& heads, const PackedWeights& trunk,
              const KernelTable& kernels, ThreadPool& pool);

  [[nodiscard]] const HeadModule& module(int depth) const noexcept {
    return modules_[modules_.size() == 1 ? 0 : static_cast<std::size_t>(depth)];
  }

  /// From tapped layers to the state that the heads read; without units where nothing is tapped.
  [[nodiscard]] const Product& fuse() const noexcept { return fuse_; }

  /// From the state of the head at `depth` to scores, and the tokens that they belong to.
  [[nodiscard]] const Product& unembed(int depth) const noexcept {
    return unembeds_.empty() ? trunk_.head() : unembeds_[table_at(depth)].product;
  }
  [[nodiscard]] const ScoredTokens& tokens() const noexcept { return tokens_; }
  [[nodiscard]] int scores() const noexcept { return scores_; }
  [[nodiscard]] bool unembed_is_q8(int depth) const noexcept {
    return unembeds_.empty() ? trunk_.head_is_q8() : unembeds_[table_at(depth)].table.is_q8();
  }
  [[nodiscard]] std::span<const float> ones() const noexcept { return ones_; }

  /// Bytes read for one draft of one sequence, on average over the heads; `two_stage`: scores of q8 rows read
  /// their upper halves.
  [[nodiscard]] std::size_t bytes_per_depth(bool two_stage) const noexcept;

 private:
  struct Unembed {
    PackedTable table;
    Product product;
  };

  // One for all heads, or one for each.
  [[nodiscard]] std::size_t table_at(int depth) const noexcept {
    return unembeds_.size() == 1 ? 0 : static_cast<std::size_t>(depth);
  }
  void read_gains(const ModelDir& model, const HeadsConfig& heads);
  void pack_modules(const ModelDir& model, const HeadsConfig& heads, const KernelTable& kernels,
                    ThreadPool& pool);
  void pack_unembeds(const ModelDir& model, const HeadsConfig& heads, const KernelTable& kernels,
                     ThreadPool& pool);

  const PackedWeights& trunk_;
  std::vector<float> gains_;
  std::vector<float> ones_;  // [hidden]
  std::vector<HeadModule> modules_;
  Product fuse_;
  WeightStreams streams_;
  std::vector<Unembed> unembeds_;  // empty: the trunk's output matrix scores
  ScoredTokens tokens_;
  int scores_ = 0;
};

}  // namespace mtp_rt::native
