// top-k, top-p and min-p as cuts (cut.h).
#pragma once

#include <cstdint>
#include <vector>

#include "mtp_rt/sampling.h"
#include "mtp_rt/token.h"
#include "sampling/cut.h"
#include "sampling/score_row.h"

namespace mtp_rt {

/// The `count` most likely entries, in order; fewer where the row has fewer above -infinity.
[[nodiscard]] std::vector<Scored> top_entries(const ScoreRow& row, std::int32_t count);

/// What top-k, then top-p, then min-p leave of a row.
[[nodiscard]] Cut filter(const ScoreRow& row, const SamplingParams& params);

/// Sum of mass(z) (token_score.h) over what `cut` keeps.
[[nodiscard]] double kept_mass(const ScoreRow& row, const Cut& cut);

}  // namespace mtp_rt
