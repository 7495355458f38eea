#include "sampling/token_noise.h"

#include <algorithm>
#include <utility>

namespace mtp_rt {

ScoredTokens::ScoredTokens(std::vector<Token> ids) : ids_(std::move(ids)) {
  for (std::size_t first = 0; first < ids_.size(); first += kRowBlock) {
    Block& block = blocks_.emplace_back();
    const std::size_t count = std::min(kRowBlock, ids_.size() - first);
    for (std::size_t i = 0; i < count; ++i) {
      const Token token = ids_[first + i];
      if (block.quads.empty() || block.quads.back() != token / 4) block.quads.push_back(token / 4);
      const std::size_t word = 4 * (block.quads.size() - 1) + static_cast<std::size_t>(token % 4);
      block.place[i] = static_cast<std::uint8_t>(word);
    }
    while (block.quads.size() % kQuads != 0) block.quads.push_back(block.quads.back());
  }
}

void ScoredTokens::noise(std::uint64_t seed, std::int64_t position, std::size_t block,
                         std::array<std::uint32_t, kRowBlock>& words) const {
  if (ids_.empty()) {
    std::array<std::int32_t, kQuads> quads;
    for (std::size_t q = 0; q < kQuads; ++q) quads[q] = static_cast<std::int32_t>(block * kQuads + q);
    return noise_words(seed, position, quads.data(), words.data());
  }
  const Block& listed = blocks_[block];
  std::array<std::uint32_t, 4 * kRowBlock> drawn;
  for (std::size_t q = 0; q < listed.quads.size(); q += kQuads) {
    noise_words(seed, position, listed.quads.data() + q, drawn.data() + 4 * q);
  }
  for (std::size_t i = 0; i < kRowBlock; ++i) words[i] = drawn[listed.place[i]];
}

}  // namespace mtp_rt
