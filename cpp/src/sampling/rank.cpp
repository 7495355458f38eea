#include "sampling/rank.h"

#include <limits>
#include <optional>
#include <vector>

#include "sampling/filters.h"
#include "sampling/noisy_order.h"
#include "sampling/score_row.h"

namespace mtp_rt {
namespace {

/// A row that is ranked, and where its candidates go.
struct Ranking {
  const ScoreRow& row;
  const Cut& cut;
  const ScoredTokens& scored;
  std::uint64_t seed;
  std::int64_t position;
  std::size_t likely;
  std::span<Token> tokens;
  std::span<float> chances;
};

/// Writes the best kept entries; returns how many there are. The fewer are looked for, the more are passed
/// over.
template <std::size_t kWidth>
std::size_t write_kept(const Ranking& r) {
  NoisyOrder<kWidth> order(r.row, r.cut, r.scored, r.seed, r.position);
  const double total = kept_mass(r.row, r.cut);
  std::size_t at = 0;
  for (const auto& entry : order.find(r.likely)) {
    if (at == r.tokens.size() || entry.score == -std::numeric_limits<double>::infinity()) break;
    const float z = r.row.block(entry.index / ScoreRow::kBlock)[entry.index % ScoreRow::kBlock];
    r.tokens[at] = r.scored.token(entry.index);
    r.chances[at++] = static_cast<float>(mass(z) / total);
  }
  return at;
}

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
  const Ranking ranking{row,    cut,    scored, params.seed, position, static_cast<std::size_t>(best->token),
                        tokens, chances};
  std::size_t at = tokens.size() == 1   ? write_kept<1>(ranking)
                   : tokens.size() <= 3 ? write_kept<3>(ranking)
                                        : write_kept<kMaxRanked>(ranking);
  if (at == tokens.size()) return;
  const std::vector<Scored> likely = top_entries(row, static_cast<std::int32_t>(tokens.size()));
  for (; at < tokens.size(); ++at) {  // the kept ones, fewer than asked for, are the likeliest of all
    tokens[at] = scored.token(static_cast<std::size_t>(likely[at].token));
    chances[at] = 0.0F;
  }
}

}  // namespace mtp_rt
