#include "decode/row_plan.h"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <utility>

namespace mtp_rt {
namespace {

// Drafting has to promise this much over not drafting: estimates are noisy, and the best of many flatters.
constexpr double kLeastGain = 1.01;

/// A node that an adaptive sequence could add to its share.
struct Candidate {
  std::size_t sequence = 0;
  float chance = 0.0F;
};

/// Gives pending rows; returns the rows that are left.
std::int32_t share_pending(std::span<Sequence* const> sequences, const RowLimits& limits,
                           std::vector<RowShare>& shares) {
  std::int32_t left = limits.max_rows;
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    if (sequences[i]->pending() > 1 || left == 0) continue;
    shares[i].pending = 1;
    --left;
  }
  std::int32_t chunk = limits.prefill_chunk;
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    if (sequences[i]->pending() == 1) continue;
    const std::int32_t rows = std::min({sequences[i]->pending(), chunk, left});
    shares[i].pending = rows;
    chunk -= rows;
    left -= rows;
  }
  return left;
}

/// Adds at most `left` nodes, likeliest first, up to the number that promises most tokens per time. The call
/// has `rows` rows and promises `tokens` without them.
void share_by_worth(std::vector<Candidate> candidates, std::int32_t left, std::int32_t rows, double tokens,
                    std::span<const double> costs, std::vector<RowShare>& shares) {
  std::ranges::stable_sort(candidates,
                           [](const Candidate& a, const Candidate& b) { return a.chance > b.chance; });
  candidates.resize(std::min(candidates.size(), static_cast<std::size_t>(left)));
  const auto first = static_cast<std::size_t>(rows) - 1;
  double best_rate = tokens / costs[first] * kLeastGain;
  std::size_t best_count = 0;
  for (std::size_t n = 0; n < candidates.size(); ++n) {
    tokens += static_cast<double>(candidates[n].chance);
    const double rate = tokens / costs[first + n + 1];
    if (rate > best_rate) {
      best_rate = rate;
      best_count = n + 1;
    }
  }
  for (std::size_t n = 0; n < best_count; ++n) ++shares[candidates[n].sequence].drafts;
}

}  // namespace

std::vector<RowShare> plan_rows(std::span<Sequence* const> sequences, const RowLimits& limits,
                                std::span<const double> costs) {
  std::vector<RowShare> shares(sequences.size());
  std::int32_t left = share_pending(sequences, limits, shares);
  std::vector<Candidate> candidates;
  double tokens = 0.0;  // expected without adaptive drafts
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    const Sequence& sequence = *sequences[i];
    if (shares[i].pending < sequence.pending()) continue;  // its logits come in a later call
    tokens += 1.0;
    const std::vector<float>& chances = sequence.proposal().chances;
    if (sequence.request().drafts.adaptive) {
      for (const float chance : chances) candidates.push_back({i, chance});
      continue;
    }
    shares[i].drafts = std::min(left, static_cast<std::int32_t>(chances.size()));
    left -= shares[i].drafts;
    tokens = std::accumulate(chances.begin(), chances.begin() + shares[i].drafts, tokens);
  }
  if (!costs.empty() && !candidates.empty()) {
    share_by_worth(std::move(candidates), left, limits.max_rows - left, tokens, costs, shares);
  }
  return shares;
}

}  // namespace mtp_rt
