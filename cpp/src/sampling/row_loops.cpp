#include "sampling/row_loops.h"

#include <array>

#include "sampling/token_score.h"

namespace mtp_rt {
namespace {

/// All quads round by round, so that the inner loop vectorises.
[[gnu::always_inline]] inline void noise_words_body(std::uint64_t seed, std::int64_t position,
                                                    const std::int32_t* quads, std::uint32_t* words) {
  std::array<std::array<std::uint32_t, kQuads>, 4> lanes;
  for (std::size_t q = 0; q < kQuads; ++q) {
    const PhiloxBits counter = noise_counter(position, quads[q]);
    for (std::size_t lane = 0; lane < 4; ++lane) lanes[lane][q] = counter.lane[lane];
  }
  for (int round = 0; round < kPhiloxRounds; ++round) {
    const std::uint32_t low = philox_key_low(seed, round);
    const std::uint32_t high = philox_key_high(seed, round);
#pragma GCC unroll 1
    for (std::size_t q = 0; q < kQuads; ++q) {
      const PhiloxBits out = philox_round({{lanes[0][q], lanes[1][q], lanes[2][q], lanes[3][q]}}, low, high);
      for (std::size_t lane = 0; lane < 4; ++lane) lanes[lane][q] = out.lane[lane];
    }
  }
  for (std::size_t q = 0; q < kQuads; ++q) {
    for (std::size_t lane = 0; lane < 4; ++lane) words[q * 4 + lane] = lanes[lane][q];
  }
}

[[gnu::always_inline]] inline void block_masses_body(const float* z, double* masses) {
#pragma GCC unroll 1
  for (std::size_t i = 0; i < kRowBlock; ++i) masses[i] = mass(z[i]);
}

#if defined(__x86_64__)
[[gnu::target("avx2")]] void noise_words_avx2(std::uint64_t seed, std::int64_t position,
                                              const std::int32_t* quads, std::uint32_t* words) {
  noise_words_body(seed, position, quads, words);
}

[[gnu::target("avx2")]] void block_masses_avx2(const float* z, double* masses) {
  block_masses_body(z, masses);
}

bool has_avx2() {
  static const bool supported = __builtin_cpu_supports("avx2") != 0;
  return supported;
}
#endif

}  // namespace

void noise_words(std::uint64_t seed, std::int64_t position, const std::int32_t* quads, std::uint32_t* words) {
#if defined(__x86_64__)
  if (has_avx2()) return noise_words_avx2(seed, position, quads, words);
#endif
  noise_words_body(seed, position, quads, words);
}

void block_masses(const float* z, double* masses) {
#if defined(__x86_64__)
  if (has_avx2()) return block_masses_avx2(z, masses);
#endif
  block_masses_body(z, masses);
}

}  // namespace mtp_rt
