#include "engines/native/greedy.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "base/math.h"
#include "mtp_rt/engine.h"

namespace mtp_rt::native {

void highest(std::span<const float> scores, const float* unit_maxima, std::size_t stride,
             const ScoredTokens& scored, std::span<Token> tokens, std::span<float> values) {
  struct Entry {
    float score = -std::numeric_limits<float>::infinity();
    std::size_t index = 0;
  };
  std::array<Entry, kMaxDraftWidth> best;
  const std::span<Entry> wanted = std::span(best).first(tokens.size());
  for (std::size_t i = 0; i < wanted.size(); ++i)
    wanted[i].index = i;  // what stays where no score is a number
  for (std::size_t first = 0; first < scores.size(); first += kUnit, unit_maxima += stride) {
    if (!(*unit_maxima > wanted.back().score)) continue;
    for (std::size_t i = first; i < std::min(first + kUnit, scores.size()); ++i) {
      Entry candidate{scores[i], i};
      for (Entry& place : wanted) {
        if (candidate.score > place.score) std::swap(candidate, place);
      }
    }
  }
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    tokens[i] = scored.token(wanted[i].index);
    values[i] = wanted[i].score;
  }
}

SoftmaxPart softmax_part(const KernelTable& kernels, std::span<const float> scores, float* copy) {
  SoftmaxPart part;
  std::ranges::copy(scores, copy);
  kernels.softmax(copy, static_cast<int>(scores.size()), &part.greatest, &part.sum);
  return part;
}

void to_probabilities(std::span<const SoftmaxPart> parts, std::span<float> scores) {
  float greatest = parts.front().greatest;
  for (const SoftmaxPart& part : parts) greatest = std::max(greatest, part.greatest);
  float total = 0.0F;
  for (const SoftmaxPart& part : parts) total += part.sum * math::exp(part.greatest - greatest);
  for (float& score : scores) {
    score = math::exp(score - greatest) / total;
    if (!std::isfinite(score)) score = 0.0F;
  }
}

}  // namespace mtp_rt::native
