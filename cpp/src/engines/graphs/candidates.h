// The tokens that a head's scores propose.
#pragma once

#include <cstdint>
#include <span>

#include "mtp_rt/sampling.h"
#include "mtp_rt/token.h"
#include "sampling/token_noise.h"

namespace mtp_rt::graphs {

/// Writes the `tokens.size()` best tokens, best first, and the head's own probability of each.
///
/// At temperature 0 by score, the lowest id first among equals; else as rank() does. Chances are 0 where a
/// score is not a number.
void choose(std::span<const float> logits, const ScoredTokens& scored, const SamplingParams& params,
            std::int64_t position, std::span<Token> tokens, std::span<float> chances);

}  // namespace mtp_rt::graphs
