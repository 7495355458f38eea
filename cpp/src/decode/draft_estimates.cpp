#include "decode/draft_estimates.h"

#include <algorithm>

namespace mtp_rt {
namespace {

constexpr double kForget = 0.95;  // weight of an observation after each newer one of its cell
constexpr double kPriorWeight = 3.0;
constexpr std::array kPrior{0.15, 0.3, 0.45, 0.55, 0.65, 0.8};  // by class of match length

}  // namespace

std::size_t DraftEstimates::class_of(std::int32_t length) {
  constexpr std::array kFirstLength{1, 2, 3, 4, 6, 9};
  static_assert(kFirstLength.size() == kClasses && kPrior.size() == kClasses);
  const auto above = std::ranges::upper_bound(kFirstLength, std::max(length, 1));
  return static_cast<std::size_t>(above - kFirstLength.begin()) - 1;
}

std::size_t DraftEstimates::column_of(std::int32_t depth) {
  return std::min(static_cast<std::size_t>(depth), kDepths - 1);
}

double DraftEstimates::chance(std::int32_t length, std::int32_t depth) const {
  const std::size_t row = class_of(length);
  const Cell& cell = cells_[row][column_of(depth)];
  return (cell.right + kPrior[row] * kPriorWeight) / (cell.seen + kPriorWeight);
}

void DraftEstimates::learn(std::int32_t length, std::int32_t depth, bool right) {
  Cell& cell = cells_[class_of(length)][column_of(depth)];
  cell.right = cell.right * kForget + (right ? 1.0 : 0.0);
  cell.seen = cell.seen * kForget + 1.0;
}

}  // namespace mtp_rt
