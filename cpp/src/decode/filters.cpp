#include "decode/filters.h"

#include <algorithm>
#include <cstddef>
#include <iterator>

#include "base/math.h"
#include "decode/token_score.h"

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

/// Finds the smallest set of kept entries that reaches a mass, looking no further down than it must.
class MassSearch {
 public:
  MassSearch(const ScoreRow& row, const Cut& cut) : row_(row), cut_(cut) {}

  /// Mass of all kept entries.
  [[nodiscard]] double total() const {
    double sum = 0.0;
    for_each_between(kMassless, 1.0F, [&](const Weighted& kept) { sum += kept.mass; });
    return sum;
  }

  /// The last entry of the set for `target`, which is at most the total.
  [[nodiscard]] Scored reach(double target) const {
    float high = 1.0F;  // above every z
    for (float low = -kStep; high > kMassless; high = low, low -= kStep) {
      std::vector<Weighted> entries;
      double sum = 0.0;
      for_each_between(low, high, [&](const Weighted& kept) {
        entries.push_back(kept);
        sum += kept.mass;
      });
      if (sum >= target) return crossing(entries, target);
      target -= sum;
    }
    return {kMassless, std::numeric_limits<Token>::max()};
  }

 private:
  static constexpr float kStep = 2.0F;

  /// Calls `visit` with the kept entries whose z lies in [low, high), by rising id.
  template <typename Visit>
  void for_each_between(float low, float high, Visit visit) const {
    low = std::max(low, cut_.last.z);
    for (std::size_t b = 0; b < row_.blocks(); ++b) {
      if (row_.block_max(b) < low) continue;
      const float* z = row_.block(b);
      for (std::size_t i = 0; i < ScoreRow::kBlock; ++i) {
        const Scored entry{z[i], static_cast<Token>(b * ScoreRow::kBlock + i)};
        if (z[i] >= low && z[i] < high && cut_.keeps(entry)) visit(Weighted{entry, mass(z[i])});
      }
    }
  }

  const ScoreRow& row_;
  const Cut& cut_;
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
    const MassSearch search(row, cut);
    const double total = whole_row ? row.total_mass() : search.total();
    cut.tighten({search.reach(static_cast<double>(params.top_p) * total)});
  }
  if (params.min_p > 0.0F) {
    const auto floor = static_cast<float>(math::log(static_cast<double>(params.min_p)));
    cut.tighten({{floor, std::numeric_limits<Token>::max()}});
  }
  return cut;
}

}  // namespace mtp_rt
