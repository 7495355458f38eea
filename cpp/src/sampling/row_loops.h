// The two loops of sampling that go over the vocabulary, also compiled for wider registers. Integers and
// single float operations give the same bits at every width.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mtp_rt {

inline constexpr std::size_t kRowBlock = 64;  ///< Entries that these loops take at once.

inline constexpr std::size_t kQuads = kRowBlock / 4;  ///< Groups of four neighbouring token ids.

/// words[4 * q + lane] = the random word (token_score.h) of token 4 * quads[q] + lane, for kQuads quads.
void noise_words(std::uint64_t seed, std::int64_t position, const std::int32_t* quads, std::uint32_t* words);

/// masses[i] = mass(z[i]) (token_score.h) of a block.
void block_masses(const float* z, double* masses);

}  // namespace mtp_rt
