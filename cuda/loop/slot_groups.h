// Which sequences of a step go through one call of the plans.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engines/cuda/plans.h"
#include "kernels/step_types.h"

namespace mtp_rt::cuda {

/// Neighbouring slots, all of which step: their caches are bound together.
struct SlotGroup {
  Slot first = 0;
  std::int32_t count = 1;
  std::int32_t width = 1;   // rows of each: the most that one has
  std::int32_t depths = 0;  // drafted for each: the most that one wants

  [[nodiscard]] bool holds(Slot slot) const noexcept { return slot >= first && slot < first + count; }
};

/// Rows of a sequence in a step of the model's loop, at most.
[[nodiscard]] inline std::int32_t loop_rows(const PlanLoopModel& model) noexcept {
  if (model.verify_profiles.empty()) return 0;
  return static_cast<std::int32_t>(std::min(model.verify_profiles.front().size(), std::size_t{kMaxWidth}));
}

/// Rows of each of `count` sequences that share a call of the model's plans, at most; 0: so many cannot.
[[nodiscard]] inline std::int32_t loop_rows(const PlanLoopModel& model, std::int32_t count) noexcept {
  const auto sequences = static_cast<std::size_t>(count);
  const auto takes = [&](const auto& profiles) { return sequences <= profiles.size(); };
  if (count > model.slots || !takes(model.verify_profiles)) return 0;
  for (const PlanHead& head : model.heads) {
    if (!takes(head.profiles)) return 0;
  }
  return std::min(loop_rows(model), static_cast<std::int32_t>(model.verify_profiles[sequences - 1].size()));
}

/// The groups of a step, in the order of their slots: each as many neighbours as the plans take together.
/// The rows' slots differ, and each row alone is within what the plans take.
[[nodiscard]] inline std::vector<SlotGroup> slot_groups(std::span<const LoopRow> rows,
                                                        const PlanLoopModel& model) {
  std::vector<SlotGroup> singles;
  for (const LoopRow& row : rows) singles.push_back({row.slot, 1, row.drafts + 1, row.depths});
  std::ranges::sort(singles, {}, &SlotGroup::first);
  std::vector<SlotGroup> groups;
  for (const SlotGroup& single : singles) {
    if (!groups.empty() && groups.back().first + groups.back().count == single.first) {
      const SlotGroup& last = groups.back();
      const SlotGroup joined{last.first, last.count + 1, std::max(last.width, single.width),
                             std::max(last.depths, single.depths)};
      if (joined.width <= loop_rows(model, joined.count)) {
        groups.back() = joined;
        continue;
      }
    }
    groups.push_back(single);
  }
  return groups;
}

/// The group that holds a slot; one does.
[[nodiscard]] inline const SlotGroup& group_of(std::span<const SlotGroup> groups, Slot slot) {
  return *std::ranges::find_if(groups, [slot](const SlotGroup& group) { return group.holds(slot); });
}

}  // namespace mtp_rt::cuda
