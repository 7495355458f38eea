// The highest of a row's scores, and their softmax in parts.
#pragma once

#include <cstddef>
#include <span>

#include "engines/native/kernels/kernel_table.h"
#include "mtp_rt/token.h"
#include "sampling/token_noise.h"

namespace mtp_rt::native {

inline constexpr std::size_t kSegment = 1024;  // scores whose exponentials are one sum

/// Writes the tokens of the `tokens.size()` highest scores, the lowest id first among equals, and the scores.
///
/// `unit_maxima` + i * stride is the greatest of scores 32 i .. 32 i + 31. A NaN is never among the highest.
void highest(std::span<const float> scores, const float* unit_maxima, std::size_t stride,
             const ScoredTokens& scored, std::span<Token> tokens, std::span<float> values);

/// The greatest of some scores, and the sum of exp(score - it).
struct SoftmaxPart {
  float greatest = 0.0F;
  float sum = 0.0F;
};

/// That of at most kSegment scores; `copy` is memory of kSegment floats.
[[nodiscard]] SoftmaxPart softmax_part(const KernelTable& kernels, std::span<const float> scores,
                                       float* copy);

/// Turns scores of a row into probabilities: 0 where the row holds what is not a number. `parts` are those of
/// the row's segments.
void to_probabilities(std::span<const SoftmaxPart> parts, std::span<float> scores);

}  // namespace mtp_rt::native
