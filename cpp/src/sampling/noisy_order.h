// The entries of a row with the highest log-probability plus Gumbel noise.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>

#include "base/math.h"
#include "sampling/filters.h"
#include "sampling/score_row.h"
#include "sampling/token_noise.h"
#include "sampling/token_score.h"

namespace mtp_rt {

/// Finds the `kWidth` kept entries with the highest z + noise, computing the noise only where it can still
/// decide.
template <std::size_t kWidth>
class NoisyOrder {
 public:
  struct Entry {
    double score = -std::numeric_limits<double>::infinity();
    std::size_t index = std::numeric_limits<std::size_t>::max();
  };

  NoisyOrder(const ScoreRow& row, const Cut& cut, const ScoredTokens& tokens, std::uint64_t seed,
             std::int64_t position)
      : row_(row), cut_(cut), tokens_(tokens), seed_(seed), position_(position) {}

  /// The entries, best first; the lower index first among equals. Where fewer are kept, the rest have a score
  /// of -infinity. `likely` is the index of the best entry, whose z is 0: a high score to begin with makes
  /// the search short.
  const std::array<Entry, kWidth>& find(std::size_t likely) {
    visit(0.0F, likely, noise_word(seed_, position_, tokens_.token(likely)));
    seen_ = likely;
    for (std::size_t b = 0; b < row_.blocks(); ++b) visit_block(b);
    return best_;
  }

 private:
  static constexpr double kMaxNoise = 22.9;

  void visit_block(std::size_t block) {
    const float top = row_.block_max(block);
    const double needed = best_.back().score;
    if (top < cut_.last.z || static_cast<double>(top) + kMaxNoise < needed) return;
    tokens_.noise(seed_, position_, block, words_);
    // -log(-log(u)) <= -log(1 - u): where even the block's best entry cannot reach the score with a word,
    // none can.
    const float reach = math::exp(std::min(top - static_cast<float>(needed), 0.0F));
    const auto least =
        static_cast<std::uint32_t>(std::max(0.0, (1.0 - static_cast<double>(reach) * 1.0001) * 0x1p32 - 2.0));
    std::uint32_t hits = 0;
    for (const std::uint32_t word : words_) hits += word >= least ? 1 : 0;
    if (hits == 0) return;
    const float* z = row_.block(block);
    for (std::size_t i = 0; i < ScoreRow::kBlock; ++i) {
      if (words_[i] >= least) visit(z[i], block * ScoreRow::kBlock + i, words_[i]);
    }
  }

  void visit(float z, std::size_t index, std::uint32_t bits) {
    if (index == seen_ || !cut_.keeps({z, static_cast<Token>(index)})) return;
    Entry candidate{static_cast<double>(z) + gumbel(bits), index};
    for (Entry& place : best_) {
      if (candidate.score > place.score ||
          (candidate.score == place.score && candidate.index < place.index)) {
        std::swap(candidate, place);
      }
    }
  }

  const ScoreRow& row_;
  const Cut& cut_;
  const ScoredTokens& tokens_;
  std::uint64_t seed_;
  std::int64_t position_;
  std::array<std::uint32_t, ScoreRow::kBlock> words_;
  std::array<Entry, kWidth> best_{};
  std::size_t seen_ = std::numeric_limits<std::size_t>::max();
};

}  // namespace mtp_rt
