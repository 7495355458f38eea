// What one token's chance of being picked depends on, entry by entry: shared by the CPU and the CUDA sampler.
#pragma once

#include <cstdint>
#include <limits>

#include "base/host_device.h"
#include "base/math.h"
#include "base/philox.h"

namespace mtp_rt {

/// A logit after the penalties. Repetition looks at prompt and generated text, the other two at generated
/// text.
MTP_RT_HOST_DEVICE inline float penalised(float logit, std::int32_t in_prompt, std::int32_t generated,
                                          float repetition, float frequency, float presence) {
  if (in_prompt + generated > 0) logit = logit > 0.0F ? logit / repetition : logit * repetition;
  logit -= frequency * static_cast<float>(generated);
  return generated > 0 ? logit - presence : logit;
}

/// Whether any penalty changes a logit; `params` are SamplingParams or what a kernel takes of them.
template <typename Params>
[[nodiscard]] MTP_RT_HOST_DEVICE bool has_penalties(const Params& params) {
  return params.presence_penalty != 0.0F || params.frequency_penalty != 0.0F ||
         params.repetition_penalty != 1.0F;
}

/// What a logit's distance from the best one is multiplied by at a temperature above 0.
MTP_RT_HOST_DEVICE inline float score_scale(float temperature) {
  const float scale = 1.0F / temperature;
  return scale <= std::numeric_limits<float>::max() ? scale : std::numeric_limits<float>::max();
}

/// The log-probability, relative to the best token's, below which min-p leaves a token out.
MTP_RT_HOST_DEVICE inline float min_p_floor(float min_p) {
  return static_cast<float>(math::log(static_cast<double>(min_p)));
}

/// The Philox counter of tokens 4 * quad .. 4 * quad + 3 at a position; the key is the seed.
MTP_RT_HOST_DEVICE inline PhiloxBits noise_counter(std::int64_t position, std::int32_t quad) {
  const auto high = static_cast<std::uint64_t>(position);
  return {{static_cast<std::uint32_t>(quad), 0U, static_cast<std::uint32_t>(high),
           static_cast<std::uint32_t>(high >> 32)}};
}

/// Gumbel noise from a random word: -log(-log(u)), u = (bits + 1/2) / 2^32, between -3.14 and 22.88.
MTP_RT_HOST_DEVICE inline double gumbel(std::uint32_t bits) {
  const double u = (static_cast<double>(bits) + 0.5) * 0x1p-32;
  return -math::log(-math::log(u));
}

/// The random word of one token: lane id % 4 of its quad.
MTP_RT_HOST_DEVICE inline std::uint32_t noise_word(std::uint64_t seed, std::int64_t position,
                                                   std::int32_t token) {
  return philox4x32(noise_counter(position, token / 4), seed).lane[token % 4];
}

inline constexpr float kMassless = -23.0F;  ///< mass() is 0 below this.

/// A token's probability relative to the best token's, in units of 2^-32: sums of up to 2^20 of them are
/// exact in a double, in any order. `z` is the log-probability relative to the best token's.
MTP_RT_HOST_DEVICE inline double mass(float z) {
  constexpr double kRound = math::kRoundDouble * 0x1p-32;
  return (static_cast<double>(math::exp(z)) + kRound) - kRound;
}

/// mass(z) in its units, without double precision.
MTP_RT_HOST_DEVICE inline std::uint64_t mass_units(float z) {
  constexpr float kRound = 0x1p23F;  // floats from here on are integers
  const float units = math::exp(z) * 0x1p32F;
  return static_cast<std::uint64_t>(units < kRound ? (units + kRound) - kRound : units);
}

/// False where z + gumbel(bits) is below `needed` for sure, without a logarithm: gumbel noise of u is at most
/// -log(1 - u). The slack is more than float arithmetic loses.
MTP_RT_HOST_DEVICE inline bool may_reach(float z, float needed, std::uint32_t bits) {
  const float gap = z - needed;
  return static_cast<float>(~bits) <= math::exp(gap < 0.0F ? gap : 0.0F) * (0x1p32F * 1.0001F) + 4.0F;
}

}  // namespace mtp_rt
