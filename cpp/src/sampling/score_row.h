// The scores of one row over the vocabulary, in blocks that can be skipped by their maximum.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "mtp_rt/token.h"
#include "sampling/row_loops.h"

namespace mtp_rt {

/// A token and its logit.
struct Best {
  Token token = 0;
  float logit = 0.0F;
};

/// The highest logit; the lowest id among equals.
/// Throws EngineError if a logit is NaN or +infinity, or if all are -infinity.
[[nodiscard]] Best argmax(std::span<const float> logits);

/// The same, or nothing where argmax() would throw.
[[nodiscard]] std::optional<Best> find_best(std::span<const float> logits) noexcept;

/// Log-probabilities relative to the best token's: 0 for the best, -infinity for what may not be chosen.
class ScoreRow {
 public:
  static constexpr std::size_t kBlock = kRowBlock;

  /// z = (logit - best) / temperature.
  void assign(std::span<const float> logits, float best, float temperature);

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t blocks() const noexcept { return block_max_.size(); }
  [[nodiscard]] float block_max(std::size_t block) const noexcept { return block_max_[block]; }

  /// Entries of a block [kBlock]; past the vocabulary they are -infinity.
  [[nodiscard]] const float* block(std::size_t index) const noexcept { return z_.data() + index * kBlock; }

  /// Sum of mass(z) (token_score.h) over all entries.
  [[nodiscard]] double total_mass() const;

 private:
  std::size_t size_ = 0;
  std::vector<float> z_;
  std::vector<float> block_max_;
};

}  // namespace mtp_rt
