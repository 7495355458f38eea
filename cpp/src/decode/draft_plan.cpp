#include "decode/draft_plan.h"

#include <algorithm>
#include <cstddef>
#include <numeric>

namespace mtp_rt {
namespace {

constexpr double kLeastGain = 1.01;  // that drafting has to promise over not drafting

struct Candidate {
  std::size_t wish = 0;
  std::size_t depth = 0;
  double chance = 0.0;
};

double time_of(std::span<const double> times, std::size_t count) {
  return count == 0 || times.empty() ? 0.0 : times[std::min(count, times.size()) - 1];
}

/// The time of a draft call that grows by one draft after the other.
class DraftCall {
 public:
  explicit DraftCall(std::span<const double> times) : times_(times) {}

  void add(std::size_t depth) {
    if (slots_.size() <= depth) slots_.resize(depth + 1);
    const std::size_t slots = ++slots_[depth];
    time_ += time_of(times_, slots) - time_of(times_, slots - 1);
  }

  [[nodiscard]] double time() const noexcept { return time_; }

 private:
  std::span<const double> times_;
  std::vector<std::size_t> slots_;  // by depth
  double time_ = 0.0;
};

}  // namespace

std::vector<std::int32_t> plan_drafts(std::span<const DraftWish> wishes, std::int32_t rows,
                                      const StepTimes& times) {
  std::vector<std::int32_t> counts(wishes.size());
  std::vector<Candidate> candidates;
  DraftCall call(times.draft);
  auto width = static_cast<std::size_t>(rows);
  double tokens = rows;
  for (std::size_t i = 0; i < wishes.size(); ++i) {
    const std::vector<float>& prospects = wishes[i].prospects;
    for (std::size_t k = 0; k < prospects.size(); ++k) {
      const auto chance = static_cast<double>(prospects[k]);
      if (wishes[i].adaptive) {
        candidates.push_back({i, k, chance});
        continue;
      }
      ++counts[i];
      ++width;
      tokens += chance;
      call.add(k);
    }
  }
  if (times.verify.empty()) return counts;
  std::ranges::stable_sort(candidates,
                           [](const Candidate& a, const Candidate& b) { return a.chance > b.chance; });
  double best_rate = tokens / (time_of(times.verify, width) + call.time()) * kLeastGain;
  std::size_t best_count = 0;
  for (std::size_t n = 0; n < candidates.size(); ++n) {
    tokens += candidates[n].chance;
    call.add(candidates[n].depth);
    const double rate = tokens / (time_of(times.verify, ++width) + call.time());
    if (rate > best_rate) {
      best_rate = rate;
      best_count = n + 1;
    }
  }
  for (std::size_t n = 0; n < best_count; ++n) ++counts[candidates[n].wish];
  return counts;
}

}  // namespace mtp_rt
