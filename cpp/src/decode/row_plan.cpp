#include "decode/row_plan.h"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <utility>

namespace mtp_rt {
namespace {

// Drafting has to promise this much over not drafting: estimates are noisy, and the best of many flatters.
constexpr double kLeastGain = 1.01;

constexpr std::int32_t kPromptShare = 4;  // of this many rows, one is for prompts, whatever others draft

/// A node that an adaptive sequence could add to its share.
struct Candidate {
  std::size_t sequence = 0;
  float chance = 0.0F;
};

/// Gives a row to each sequence that decodes, while there are some; returns the rows that are left.
std::int32_t share_last_tokens(std::span<Sequence* const> sequences, std::int32_t left,
                               std::vector<RowShare>& shares) {
  for (std::size_t i = 0; i < sequences.size() && left > 0; ++i) {
    if (sequences[i]->pending() > 1) continue;
    shares[i].pending = 1;
    --left;
  }
  return left;
}

/// Rows that drafts of fixed number are to have, whatever prompts come beside them.
std::int32_t fixed_drafts(std::span<Sequence* const> sequences, std::span<const RowShare> shares) {
  std::size_t drafts = 0;
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    const Sequence& sequence = *sequences[i];
    if (shares[i].pending == 1 && !sequence.request().drafts.adaptive) {
      drafts += sequence.proposal().chances.size();
    }
  }
  return static_cast<std::int32_t>(drafts);
}

/// Gives `rows` rows of prompts; returns those that are left.
std::int32_t share_prompts(std::span<Sequence* const> sequences, std::int32_t rows,
                           std::vector<RowShare>& shares) {
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    if (sequences[i]->pending() == 1) continue;
    shares[i].pending = std::min(sequences[i]->pending(), rows);
    rows -= shares[i].pending;
  }
  return rows;
}

/// Gives pending rows; returns the rows that are left.
std::int32_t share_pending(std::span<Sequence* const> sequences, const RowLimits& limits,
                           std::vector<RowShare>& shares) {
  const std::int32_t left = share_last_tokens(sequences, limits.max_rows, shares);
  const std::int32_t least = std::min(left, std::max(1, limits.max_rows / kPromptShare));
  const std::int32_t beside_drafts = std::max(least, left - fixed_drafts(sequences, shares));
  const std::int32_t rows = std::min(beside_drafts, limits.prefill_chunk);
  return left - rows + share_prompts(sequences, rows, shares);
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
