// Finds where a row's entries, most likely first, reach a weight: the end of top-k and of top-p.
//
// Weights are integers, so their sums do not depend on the order in which threads add them, and the entry
// found is the one that the host's filters find.
#pragma once

#include <cstdint>

#include "base/host_device.h"
#include "kernels/block.h"
#include "kernels/score_row.h"
#include "sampling/cut.h"

namespace mtp_rt::cuda {

/// A Scored that may lie in shared memory, where nothing is initialised.
struct ListedEntry {
  float z;
  Token entry;

  [[nodiscard]] MTP_RT_DEVICE Scored scored() const { return {z, entry}; }
};

/// Shared memory of a search; up to kListed entries are ranked at once.
template <std::int32_t kListed>
struct SelectShared {
  std::uint32_t count[kBins];
  std::uint32_t low[kBins];  // weight, lower and upper half: shared memory adds 32 bits at once
  std::uint32_t high[kBins];
  std::uint64_t group[kFoldLanes];  // weight of kBins / kFoldLanes bins
  ListedEntry listed[kListed];
  std::uint64_t weight[kListed];
  std::uint32_t listed_count;
  std::int32_t digits[kLevels];
  std::uint64_t target;  // what is left of it behind the bins before the chosen one
  std::uint32_t inside;  // entries in the chosen bin
  bool beyond;           // all entries together do not reach the target
  ListedEntry found;
};

/// Weight 1 for each of `count` entries.
struct CountGoal {
  std::uint64_t count;

  [[nodiscard]] MTP_RT_DEVICE std::uint64_t weight(float z) const { return z >= -kLargest ? 1 : 0; }
  [[nodiscard]] MTP_RT_DEVICE std::uint64_t target(std::uint64_t) const { return count; }
};

/// Weight mass(z); a share of that of all entries.
struct MassGoal {
  float share;

  [[nodiscard]] MTP_RT_DEVICE std::uint64_t weight(float z) const { return mass_units(z); }

  /// The least whole number of units that reaches share * total, as the host computes it.
  [[nodiscard]] MTP_RT_DEVICE std::uint64_t target(std::uint64_t total) const {
    const double wanted = static_cast<double>(share) * (static_cast<double>(total) * 0x1p-32) * 0x1p32;
    const auto whole = static_cast<std::uint64_t>(wanted);
    return static_cast<double>(whole) < wanted ? whole + 1 : whole;
  }
};

/// One search over what `cut` keeps of `row`.
template <typename Block, typename Goal, std::int32_t kListed>
class Select {
 public:
  MTP_RT_DEVICE Select(const Block& block, const ScoreRow& row, const Cut& cut, Goal goal,
                       SelectShared<kListed>& shared)
      : block_(block), row_(row), cut_(cut), goal_(goal), shared_(shared) {}

  /// The last entry of the shortest leading part of the order that reaches the goal, as a cut; one that keeps
  /// all where the goal is beyond them.
  [[nodiscard]] MTP_RT_DEVICE Cut find() {
    std::int32_t level = 0;
    std::uint32_t inside = 0;
    do {
      add_up(level);
      choose(level);
      if (block_.read(shared_.beyond)) return {};
      inside = block_.read(shared_.inside);
      ++level;
    } while (inside > kListed && level < kLevels);
    list(level);
    rank();
    return {block_.read(shared_.found).scored()};
  }

 private:
  static constexpr std::int32_t kGroup = kBins / kFoldLanes;

  /// The weight of an entry whose first `level` digits are the chosen ones; 0 for others.
  [[nodiscard]] MTP_RT_DEVICE std::uint64_t weight(std::int32_t level, float z, std::int32_t index) const {
    if (!cut_.keeps({z, index})) return 0;
    for (std::int32_t i = 0; i < level; ++i) {
      if (order_digit(i, z, index) != shared_.digits[i]) return 0;
    }
    return goal_.weight(z);
  }

  /// Weights and numbers of entries by their digit at `level`. A thread adds up neighbours of one bin by
  /// itself: where all fall into the same, threads would wait for each other.
  MTP_RT_DEVICE void add_up(std::int32_t level) {
    block_.phase([&](std::int32_t thread) {
      for (std::int32_t bin = thread; bin < kBins; bin += block_.threads()) {
        shared_.count[bin] = shared_.low[bin] = shared_.high[bin] = 0;
      }
      if (thread == 0) shared_.listed_count = 0;
    });
    block_.phase([&](std::int32_t thread) {
      std::int32_t bin = 0;
      std::uint32_t count = 0;
      std::uint64_t sum = 0;
      for (std::int32_t i = thread; i < row_.size; i += block_.threads()) {
        const float z = row_.z(i);
        const std::uint64_t more = weight(level, z, i);
        if (more == 0) continue;
        const std::int32_t place = order_digit(level, z, i);
        if (place != bin) {
          put(bin, count, sum);
          bin = place;
          count = 0;
          sum = 0;
        }
        ++count;
        sum += more;
      }
      put(bin, count, sum);
    });
  }

  MTP_RT_DEVICE void put(std::int32_t bin, std::uint32_t count, std::uint64_t sum) {
    if (count == 0) return;
    block_.add(shared_.count[bin], count);
    const auto low = static_cast<std::uint32_t>(sum);
    const std::uint32_t before = block_.add(shared_.low[bin], low);
    const std::uint32_t carry = before + low < before ? 1 : 0;
    const std::uint32_t high = static_cast<std::uint32_t>(sum >> 32) + carry;
    if (high > 0) block_.add(shared_.high[bin], high);
  }

  [[nodiscard]] MTP_RT_DEVICE std::uint64_t sum_of(std::int32_t bin) const {
    return (std::uint64_t{shared_.high[bin]} << 32) + shared_.low[bin];
  }

  /// Finds the bin in which the target is reached.
  MTP_RT_DEVICE void choose(std::int32_t level) {
    block_.phase([&](std::int32_t thread) {
      for (std::int32_t g = thread; g < kFoldLanes; g += block_.threads()) {
        std::uint64_t sum = 0;
        for (std::int32_t i = 0; i < kGroup; ++i) sum += sum_of(g * kGroup + i);
        shared_.group[g] = sum;
      }
    });
    block_.phase([&](std::int32_t thread) {
      if (thread != 0) return;
      std::uint64_t total = 0;
      for (const std::uint64_t sum : shared_.group) total += sum;
      if (level == 0) shared_.target = goal_.target(total);
      std::uint64_t target = shared_.target;
      shared_.beyond = target > total;
      if (target > total) return;
      std::int32_t group = 0;
      for (; shared_.group[group] < target; ++group) target -= shared_.group[group];
      std::int32_t bin = group * kGroup;
      for (; sum_of(bin) < target; ++bin) target -= sum_of(bin);
      shared_.digits[level] = bin;
      shared_.target = target;
      shared_.inside = shared_.count[bin];
    });
  }

  /// Lists the entries of the chosen bin, in any order.
  MTP_RT_DEVICE void list(std::int32_t level) {
    block_.phase([&](std::int32_t thread) {
      for (std::int32_t i = thread; i < row_.size; i += block_.threads()) {
        const float z = row_.z(i);
        const std::uint64_t own = weight(level, z, i);
        if (own == 0) continue;
        const std::uint32_t at = block_.add(shared_.listed_count, 1);
        shared_.listed[at] = {z, i};
        shared_.weight[at] = own;
      }
    });
  }

  /// The listed entry with which those before it reach the target: just one does.
  MTP_RT_DEVICE void rank() {
    block_.phase([&](std::int32_t thread) {
      const auto count = static_cast<std::int32_t>(shared_.listed_count);
      for (std::int32_t c = thread; c < count; c += block_.threads()) {
        const Scored candidate = shared_.listed[c].scored();
        std::uint64_t before = 0;
        for (std::int32_t i = 0; i < count; ++i) {
          if (shared_.listed[i].scored().before(candidate)) before += shared_.weight[i];
        }
        if (before < shared_.target && before + shared_.weight[c] >= shared_.target) {
          shared_.found = shared_.listed[c];
        }
      }
    });
  }

  const Block& block_;
  const ScoreRow& row_;
  const Cut& cut_;
  Goal goal_;
  SelectShared<kListed>& shared_;
};

}  // namespace mtp_rt::cuda
