#include "engines/graphs/candidates.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "mtp_rt/engine.h"
#include "sampling/rank.h"

namespace mtp_rt::graphs {

void choose(std::span<const float> logits, const ScoredTokens& scored, const SamplingParams& params,
            std::int64_t position, std::span<Token> tokens, std::span<float> chances) {
  if (params.temperature != 0.0F) {
    rank(logits, scored, params, position, tokens, chances);
    return;
  }
  if (!std::ranges::all_of(logits, [](float x) { return std::isfinite(x); })) {
    for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = scored.token(i);
    std::ranges::fill(chances, 0.0F);
    return;
  }
  std::array<std::size_t, kMaxDraftWidth> best{};
  std::size_t found = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (found == tokens.size() && logits[i] <= logits[best[found - 1]]) continue;
    std::size_t at = found < tokens.size() ? found++ : found - 1;
    for (; at > 0 && logits[best[at - 1]] < logits[i]; --at) best[at] = best[at - 1];
    best[at] = i;
  }
  double total = 0.0;
  for (const float logit : logits) total += std::exp(static_cast<double>(logit - logits[best[0]]));
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    tokens[i] = scored.token(best[i]);
    chances[i] = static_cast<float>(std::exp(static_cast<double>(logits[best[i]] - logits[best[0]])) / total);
  }
}

}  // namespace mtp_rt::graphs
