// top-k, top-p and min-p as cuts through one order: most likely first, lower id first among equals.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "mtp_rt/sampling.h"
#include "mtp_rt/token.h"
#include "sampling/score_row.h"

namespace mtp_rt {

/// An entry of a ScoreRow.
struct Scored {
  float z = 0.0F;
  Token token = 0;

  /// Whether this entry comes before `other` in the order of the cuts.
  [[nodiscard]] bool before(const Scored& other) const noexcept {
    return z != other.z ? z > other.z : token < other.token;
  }
};

/// Everything up to and including `last` in the order is kept.
struct Cut {
  Scored last{std::numeric_limits<float>::lowest(), std::numeric_limits<Token>::max()};

  [[nodiscard]] bool keeps(Scored entry) const noexcept { return !last.before(entry); }

  /// Keeps what both keep.
  void tighten(const Cut& other) noexcept {
    if (other.last.before(last)) last = other.last;
  }
};

/// The `count` most likely entries, in order; fewer where the row has fewer above -infinity.
[[nodiscard]] std::vector<Scored> top_entries(const ScoreRow& row, std::int32_t count);

/// What top-k, then top-p, then min-p leave of a row.
[[nodiscard]] Cut filter(const ScoreRow& row, const SamplingParams& params);

/// Sum of mass(z) (token_score.h) over what `cut` keeps.
[[nodiscard]] double kept_mass(const ScoreRow& row, const Cut& cut);

}  // namespace mtp_rt
