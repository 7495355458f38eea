// How many tokens the heads draft for each sequence.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace mtp_rt {

/// What one sequence wants of the heads.
struct DraftWish {
  std::vector<float> prospects;  // [k]: chance that its first k + 1 drafts are accepted; never rises
  bool adaptive = true;          // else it wants all of them, whatever they cost
};

/// What a step costs, in one unit.
struct StepTimes {
  std::span<const double> verify;  // [w - 1]: a verify call of w rows; empty: adaptive wishes get nothing
  std::span<const double> draft;   // [r - 1]: one depth of a draft call of r slots
};

/// The number of drafts for each wish. The next verify call has `rows` rows without them, each of which
/// promises a token. Drafts are added, the likeliest first, up to the number that promises most tokens per
/// time: each costs its row and its share of the draft call.
[[nodiscard]] std::vector<std::int32_t> plan_drafts(std::span<const DraftWish> wishes, std::int32_t rows,
                                                    const StepTimes& times);

}  // namespace mtp_rt
