#include <string>

#include "base/math.h"
#include "mtp_rt/error.h"
#include "mtp_rt/sampling.h"
#include "sampling/filters.h"
#include "sampling/score_row.h"

namespace mtp_rt {
namespace {

/// 1 + the number of entries before `chosen`: higher ones, and equal ones of a lower id.
std::int32_t rank_of(const ScoreRow& row, Scored chosen) {
  std::int32_t rank = 1;
  for (std::size_t b = 0; b < row.blocks(); ++b) {
    if (row.block_max(b) < chosen.z) continue;
    for (std::size_t i = 0; i < ScoreRow::kBlock; ++i) {
      const Scored entry{row.block(b)[i], static_cast<Token>(b * ScoreRow::kBlock + i)};
      rank += entry.before(chosen) ? 1 : 0;
    }
  }
  return rank;
}

}  // namespace

std::vector<TokenLogprob> logprobs(std::span<const float> logits, Token chosen, std::int32_t top) {
  if (chosen < 0 || static_cast<std::size_t>(chosen) >= logits.size()) {
    throw ArgumentError("chosen: token " + std::to_string(chosen) + " is outside the vocabulary of " +
                        std::to_string(logits.size()));
  }
  if (top < 0) throw ArgumentError("top: " + std::to_string(top) + " is negative");
  const Best best = argmax(logits);
  static thread_local ScoreRow row;
  row.assign(logits, best.logit, 1.0F);
  const auto log_total = static_cast<float>(math::log(row.total_mass()));
  const Scored entry{logits[static_cast<std::size_t>(chosen)] - best.logit, chosen};

  std::vector<TokenLogprob> result{{chosen, entry.z - log_total, rank_of(row, entry)}};
  if (top == 0) return result;
  std::int32_t rank = 0;
  for (const Scored& likely : top_entries(row, top)) {
    result.push_back({likely.token, likely.z - log_total, ++rank});
  }
  return result;
}

}  // namespace mtp_rt
