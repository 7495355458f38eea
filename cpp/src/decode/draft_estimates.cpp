#include "decode/draft_estimates.h"

#include <algorithm>

namespace mtp_rt {
namespace {

constexpr double kForget = 0.97;  // weight of what was known after each observation of its cell

}  // namespace

std::size_t DraftEstimates::cell(std::size_t sureness, std::int32_t depth) {
  return sureness * kDepths + std::min(static_cast<std::size_t>(depth), kDepths - 1);
}

double DraftEstimates::chance(std::size_t sureness, std::int32_t depth, double prior) const {
  const Cell& known = cells_[cell(sureness, depth)];
  return (known.right + prior * known.prior_weight) / (known.seen + known.prior_weight);
}

void DraftEstimates::learn(std::size_t sureness, std::int32_t depth, bool right) {
  Cell& known = cells_[cell(sureness, depth)];
  known.right = known.right * kForget + (right ? 1.0 : 0.0);
  known.seen = known.seen * kForget + 1.0;
  known.prior_weight *= kForget;
}

}  // namespace mtp_rt
