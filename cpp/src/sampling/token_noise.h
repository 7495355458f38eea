// The random words of a row's entries, whose tokens may be a selection of the vocabulary.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "mtp_rt/token.h"
#include "sampling/row_loops.h"

namespace mtp_rt {

/// Which token each entry of a row of scores belongs to, laid out for drawing a block's noise at once.
class ScoredTokens {
 public:
  /// Every token of the vocabulary, in order.
  ScoredTokens() = default;

  /// The tokens `ids`, strictly ascending.
  explicit ScoredTokens(std::vector<Token> ids);

  [[nodiscard]] Token token(std::size_t entry) const noexcept {
    return ids_.empty() ? static_cast<Token>(entry) : ids_[entry];
  }

  /// words[i] = the random word (token_score.h) of entry kRowBlock * block + i; past the last entry, any.
  void noise(std::uint64_t seed, std::int64_t position, std::size_t block,
             std::array<std::uint32_t, kRowBlock>& words) const;

 private:
  /// The distinct quads of a block's tokens, and where each entry's word stands among theirs.
  struct Block {
    std::vector<std::int32_t> quads;  // padded to a multiple of kQuads
    std::array<std::uint8_t, kRowBlock> place{};
  };

  std::vector<Token> ids_;
  std::vector<Block> blocks_;
};

}  // namespace mtp_rt
