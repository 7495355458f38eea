// The two loops of sampling that go over the vocabulary, also compiled for wider registers. Integers and
// single float operations give the same bits at every width.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mtp_rt {

inline constexpr std::size_t kRowBlock = 64;  ///< Entries that these loops take at once.

/// words[i] = the random word (token_score.h) of token kRowBlock * block + i.
void noise_words(std::uint64_t seed, std::int64_t position, std::size_t block, std::uint32_t* words);

/// masses[i] = mass(z[i]) (token_score.h) of a block.
void block_masses(const float* z, double* masses);

}  // namespace mtp_rt
