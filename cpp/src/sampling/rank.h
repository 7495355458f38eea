// The tokens that a drafter proposes where the model samples.
#pragma once

#include <cstdint>
#include <span>

#include "mtp_rt/sampling.h"
#include "mtp_rt/token.h"
#include "sampling/token_noise.h"

namespace mtp_rt {

inline constexpr std::size_t kMaxRanked = 8;

/// Writes the `tokens.size()` tokens (at most kMaxRanked and `logits.size()`) likeliest to be picked at
/// `position`, best first, and the probability that the scores give each.
///
/// As pick() does at this temperature, above 0, without penalties, bias and mask: filters, then
/// log-probability plus the noise that pick() will draw for the token. What the filters leave out comes last,
/// most likely first, with chance 0. Where a score is NaN or infinite, the first entries come with chance 0.
void rank(std::span<const float> logits, const ScoredTokens& scored, const SamplingParams& params,
          std::int64_t position, std::span<Token> tokens, std::span<float> chances);

}  // namespace mtp_rt
