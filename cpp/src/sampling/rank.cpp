#include "sampling/rank.h"

#include <limits>
#include <optional>
#include <vector>

#include "sampling/filters.h"
#include "sampling/noisy_order.h"
#include "sampling/score_row.h"

namespace mtp_rt {
namespace {

using Order = NoisyOrder<kMaxRanked>;

}  // namespace

void rank(std::span<const float> logits, const ScoredTokens& scored, const SamplingParams& params,
          std::int64_t position, std::span<Token> tokens, std::span<float> chances) {
  static thread_local ScoreRow row;
  const std::optional<Best> best = find_best(logits);
  if (!best) {
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      tokens[i] = scored.token(i);
      chances[i] = 0.0F;
    }
    return;
  }
  row.assign(logits, best->logit, params.temperature);
  const Cut cut = filter(row, params);
  const double total = kept_mass(row, cut);
  Order order(row, cut, scored, params.seed, position);
  std::size_t at = 0;
  for (const Order::Entry& entry : order.find(static_cast<std::size_t>(best->token))) {
    if (at == tokens.size() || entry.score == -std::numeric_limits<double>::infinity()) break;
    const float z = row.block(entry.index / ScoreRow::kBlock)[entry.index % ScoreRow::kBlock];
    tokens[at] = scored.token(entry.index);
    chances[at++] = static_cast<float>(mass(z) / total);
  }
  const std::vector<Scored> likely = top_entries(row, static_cast<std::int32_t>(tokens.size()));
  for (; at < tokens.size(); ++at) {  // the kept ones, fewer than asked for, are the likeliest of all
    tokens[at] = scored.token(static_cast<std::size_t>(likely[at].token));
    chances[at] = 0.0F;
  }
}

}  // namespace mtp_rt
