#include "decode/draft_plan.h"

#include <algorithm>
#include <cstddef>

namespace mtp_rt {
namespace {

constexpr double kLeastGain = 1.01;  // that drafting has to promise over not drafting
constexpr double kHope = 2.0;        // times its mean chance, a candidate may turn out to have

struct Candidate {
  std::size_t wish = 0;
  std::int32_t depth = 0;
  std::int32_t rank = 0;
  double chance = 0.0;
  bool of_heads = true;
};

double time_of(std::span<const double> times, std::size_t count) {
  return count == 0 || times.empty() ? 0.0 : times[std::min(count, times.size()) - 1];
}

/// The time of a draft call that grows by one depth of one slot after the other.
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

/// The next step as it grows by candidates.
class Step {
 public:
  Step(std::size_t wishes, std::int32_t rows, const StepTimes& times)
      : times_(times),
        call_(times.draft),
        depths_(wishes),
        rows_(static_cast<std::size_t>(rows)),
        tokens_(rows) {}

  /// Candidates of a wish come in an order in which none is deeper than those before by more than one.
  void add(const Candidate& candidate) {
    ++rows_;
    tokens_ += candidate.chance;
    if (!candidate.of_heads) return;
    std::int32_t& depths = depths_[candidate.wish];
    if (candidate.depth < depths) return;
    call_.add(static_cast<std::size_t>(candidate.depth));
    depths = candidate.depth + 1;
  }

  /// Tokens per time.
  [[nodiscard]] double rate() const { return tokens_ / (time_of(times_.verify, rows_) + call_.time()); }

  /// What one row more takes.
  [[nodiscard]] double row_time() const {
    return time_of(times_.verify, rows_ + 1) - time_of(times_.verify, rows_);
  }

 private:
  StepTimes times_;
  DraftCall call_;
  std::vector<std::int32_t> depths_;  // by wish
  std::size_t rows_;
  double tokens_;
};

std::vector<Candidate> candidates_of(const Prospects& prospects, std::size_t wish) {
  std::vector<Candidate> candidates;
  for (std::size_t at = 0; at < prospects.chances.size(); ++at) {
    const auto place = static_cast<std::int32_t>(at);
    candidates.push_back(
        {wish, place / prospects.width, place % prospects.width, static_cast<double>(prospects.chances[at])});
  }
  for (const float chance : prospects.others) {
    candidates.push_back({.wish = wish, .chance = static_cast<double>(chance), .of_heads = false});
  }
  return candidates;
}

}  // namespace

std::vector<DraftShare> plan_drafts(std::span<const DraftWish> wishes, std::int32_t rows,
                                    const StepTimes& times) {
  std::vector<DraftShare> shares(wishes.size());
  std::vector<Candidate> candidates;
  Step step(wishes.size(), rows, times);
  for (std::size_t i = 0; i < wishes.size(); ++i) {
    const std::vector<Candidate> wanted = candidates_of(wishes[i].prospects, i);
    if (wishes[i].adaptive) {
      candidates.insert(candidates.end(), wanted.begin(), wanted.end());
    } else {
      const auto depths =
          static_cast<std::int32_t>(wishes[i].prospects.chances.size()) / wishes[i].prospects.width;
      shares[i] = {depths, wishes[i].prospects.width};
      for (const Candidate& candidate : wanted) step.add(candidate);
    }
  }
  if (times.verify.empty()) return shares;
  std::ranges::stable_sort(candidates,
                           [](const Candidate& a, const Candidate& b) { return a.chance > b.chance; });
  double best_rate = step.rate() * kLeastGain;
  double worth = 0.0;  // tokens that the next row has to promise there
  std::size_t best_count = 0;
  for (std::size_t n = 0; n < candidates.size(); ++n) {
    step.add(candidates[n]);
    if (step.rate() <= best_rate) continue;
    best_rate = step.rate();
    worth = best_rate * step.row_time();
    best_count = n + 1;
  }
  for (std::size_t n = 0; n < candidates.size(); ++n) {
    const Candidate& candidate = candidates[n];
    if (!candidate.of_heads) continue;
    DraftShare& share = shares[candidate.wish];
    if (n < best_count) {
      share.depths = std::max(share.depths, candidate.depth + 1);
    } else if (candidate.depth >= share.depths || kHope * candidate.chance <= worth) {
      continue;
    }
    share.width = std::max(share.width, candidate.rank + 1);
  }
  return shares;
}

}  // namespace mtp_rt
