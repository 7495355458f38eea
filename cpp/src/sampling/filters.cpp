#include "sampling/filters.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>
#include <numeric>

#include "base/math.h"
#include "sampling/row_loops.h"
#include "sampling/token_score.h"

namespace mtp_rt {
namespace {

constexpr float kLowest = -std::numeric_limits<float>::infinity();

struct Weighted {
  Scored entry;
  double mass = 0.0;
};

bool weighted_before(const Weighted& a, const Weighted& b) { return a.entry.before(b.entry); }

/// The last entry of the shortest prefix of `entries`, put in order, whose mass reaches `target`.
///
/// Halves the range that holds the crossing, so nothing but its last few entries is ever sorted.
Scored crossing(std::vector<Weighted>& entries, double target) {
  constexpr std::ptrdiff_t kSorted = 16;
  auto first = entries.begin();
  auto last = entries.end();
  while (last - first > kSorted) {
    const auto middle = first + (last - first) / 2;
    std::nth_element(first, middle, last, weighted_before);
    double upper = 0.0;
    for (auto it = first; it != middle; ++it) upper += it->mass;
    if (upper >= target) {
      last = middle;
    } else {
      target -= upper;
      first = middle;
    }
  }
  std::sort(first, last, weighted_before);
  for (; first != std::prev(last); ++first) {
    target -= first->mass;
    if (target <= 0.0) break;
  }
  return first->entry;
}

/// Finds the smallest set of kept entries that reaches a mass, by sums over bins of z.
class MassSearch {
 public:
  MassSearch(const ScoreRow& row, const Cut& cut) : row_(row), cut_(cut) {}

  /// Mass of all kept entries.
  [[nodiscard]] double total() {
    fill(0, kBins);
    return std::accumulate(sums_.begin(), sums_.begin() + kBins, 0.0);
  }

  /// The last entry of the set for `target`, which is at most the total. Most rows reach it among the likely
  /// entries; only where they do not suffice are the others looked at.
  [[nodiscard]] Scored reach(double target) {
    std::size_t first = 0;
    for (const std::size_t last : {kLikelyBins, kBins}) {
      fill(first, last);
      for (; first < last; ++first) {
        if (sums_[first] >= target) {
          std::vector<Weighted> entries = entries_of(first);
          return crossing(entries, target);
        }
        target -= sums_[first];
      }
    }
    return {kMassless, std::numeric_limits<Token>::max()};
  }

 private:
  static constexpr float kBinsPerUnit = 32.0F;
  static constexpr auto kLikelyBins = static_cast<std::size_t>(6.0F * kBinsPerUnit);
  static constexpr auto kBins = static_cast<std::size_t>(-kMassless * kBinsPerUnit) + 1;

  static std::size_t bin(float z) {
    return static_cast<std::size_t>(static_cast<std::int32_t>(std::min(-z, 1.0F - kMassless) * kBinsPerUnit));
  }

  /// The highest z of a bin.
  static float upper_edge(std::size_t bin) { return -static_cast<float>(bin) / kBinsPerUnit; }

  /// sums_[b] = mass of the kept entries in bin b, for bins first .. last - 1. Without a branch per entry:
  /// what does not count goes to spare bins, a different one each so that no sum waits for the one before.
  void fill(std::size_t first, std::size_t last) {
    std::fill(sums_.begin() + static_cast<std::ptrdiff_t>(first),
              sums_.begin() + static_cast<std::ptrdiff_t>(last), 0.0);
    const float floor = std::max(upper_edge(last), cut_.last.z);
    std::array<double, ScoreRow::kBlock> masses;
    for (std::size_t b = 0; b < row_.blocks(); ++b) {
      if (row_.block_max(b) < floor) continue;
      const float* z = row_.block(b);
      block_masses(z, masses.data());
      for (std::size_t i = 0; i < ScoreRow::kBlock; ++i) {
        const std::size_t place = bin(z[i]);
        const bool counts = (place - first < last - first) & kept(z[i], b * ScoreRow::kBlock + i);
        sums_[counts ? place : kBins + i] += masses[i];
      }
    }
  }

  /// The kept entries of a bin.
  [[nodiscard]] std::vector<Weighted> entries_of(std::size_t wanted) const {
    std::vector<Weighted> entries;
    const float floor = std::max(upper_edge(wanted + 1), cut_.last.z);
    for (std::size_t b = 0; b < row_.blocks(); ++b) {
      if (row_.block_max(b) < floor) continue;
      const float* z = row_.block(b);
      for (std::size_t i = 0; i < ScoreRow::kBlock; ++i) {
        if (bin(z[i]) != wanted || !kept(z[i], b * ScoreRow::kBlock + i)) continue;
        entries.push_back({{z[i], static_cast<Token>(b * ScoreRow::kBlock + i)}, mass(z[i])});
      }
    }
    return entries;
  }

  /// Cut::keeps without branches.
  [[nodiscard]] bool kept(float z, std::size_t token) const {
    return (z > cut_.last.z) | ((z == cut_.last.z) & (static_cast<Token>(token) <= cut_.last.token));
  }

  const ScoreRow& row_;
  const Cut& cut_;
  std::array<double, kBins + ScoreRow::kBlock> sums_{};  // the last ones take what does not count
};

}  // namespace

std::vector<Scored> top_entries(const ScoreRow& row, std::int32_t count) {
  const auto wanted = std::min(static_cast<std::size_t>(count), row.size());
  const auto before = [](const Scored& a, const Scored& b) { return a.before(b); };
  const std::size_t capacity = wanted + std::max<std::size_t>(wanted, ScoreRow::kBlock);
  std::vector<Scored> best;
  best.reserve(capacity);
  float floor = kLowest;  // ids rise, so a later entry must be above the last one kept, not equal to it
  for (std::size_t b = 0; b < row.blocks(); ++b) {
    if (!(row.block_max(b) > floor)) continue;
    for (std::size_t i = 0; i < ScoreRow::kBlock; ++i) {
      if (!(row.block(b)[i] > floor)) continue;
      best.push_back({row.block(b)[i], static_cast<Token>(b * ScoreRow::kBlock + i)});
      if (best.size() < capacity) continue;
      std::nth_element(best.begin(), best.begin() + static_cast<std::ptrdiff_t>(wanted - 1), best.end(),
                       before);
      best.resize(wanted);
      floor = best.back().z;
    }
  }
  const std::size_t kept = std::min(wanted, best.size());
  std::partial_sort(best.begin(), best.begin() + static_cast<std::ptrdiff_t>(kept), best.end(), before);
  best.resize(kept);
  return best;
}

Cut filter(const ScoreRow& row, const SamplingParams& params) {
  Cut cut;
  const bool whole_row = params.top_k <= 0 || static_cast<std::size_t>(params.top_k) >= row.size();
  if (!whole_row) cut.tighten({top_entries(row, params.top_k).back()});
  if (params.top_p < 1.0F) {
    MassSearch search(row, cut);
    const double total = whole_row ? row.total_mass() : search.total();
    cut.tighten({search.reach(static_cast<double>(params.top_p) * total)});
  }
  if (params.min_p > 0.0F) {
    const auto floor = min_p_floor(params.min_p);
    cut.tighten({{floor, std::numeric_limits<Token>::max()}});
  }
  return cut;
}

double kept_mass(const ScoreRow& row, const Cut& cut) {
  const bool whole_row = cut.last.z == std::numeric_limits<float>::lowest();
  return whole_row ? row.total_mass() : MassSearch(row, cut).total();
}

}  // namespace mtp_rt
