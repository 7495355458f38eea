// How much the heads draft for each sequence.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "mtp_rt/drafting.h"

namespace mtp_rt {

/// What one sequence wants of the heads.
struct DraftWish {
  Prospects prospects;   // no candidate of the heads is likelier than the first one of the depth before
  bool adaptive = true;  // else it wants all of them, whatever they cost
};

/// What the heads draft for one sequence.
struct DraftShare {
  std::int32_t depths = 0;
  std::int32_t width = 1;  // candidates of each depth
};

/// What a step costs, in one unit.
struct StepTimes {
  std::span<const double> verify;  // [w - 1]: a verify call of w rows; empty: adaptive wishes get nothing
  std::span<const double> draft;   // [r - 1]: one depth of a draft call of r slots
};

/// A share for each wish. The next verify call has `rows` rows without drafts, each of which promises a
/// token. Candidates are added, the likeliest first, up to the number that promises most tokens per time:
/// each costs its row, and a depth of the heads that was not drafted before its share of the draft call. More
/// candidates of a depth cost the heads next to nothing, so those that may turn out likely enough are drafted
/// too.
[[nodiscard]] std::vector<DraftShare> plan_drafts(std::span<const DraftWish> wishes, std::int32_t rows,
                                                  const StepTimes& times);

}  // namespace mtp_rt
