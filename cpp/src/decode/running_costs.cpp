#include "decode/running_costs.h"

#include <algorithm>
#include <cmath>

namespace mtp_rt {
namespace {

constexpr double kForget = 0.95;     // of what is known, with each call
constexpr double kMostSlower = 0.3;  // a stalled call says no more than this; a fast one cannot be a stall
constexpr double kMostFaster = 0.9;
constexpr double kMostDoubt = 0.5;   // share of the evidence that one surprising call takes
constexpr double kCommon = 0.5;      // share of a change that all widths have in common
constexpr double kUntimed = 0.001;   // weight of a width that was never timed
constexpr double kHope = 0.3;        // how much faster, as a logarithm, an unknown width may be
constexpr double kMoreHope = 0.002;  // the same, more with each call that tells nothing of the width
constexpr double kMostHope = 1.0;
constexpr double kPaid = -0.1;       // surprise of a try that paid
constexpr double kFirstPause = 8.0;  // between tries, in times of the last one
constexpr double kLongestPause = 64.0;

/// Makes `times` ascend: neighbours that fall are replaced by their mean, weighted.
void ascend(std::vector<double>& times, std::span<const double> weights) {
  struct Pool {
    double time = 0.0;
    double weight = 0.0;
    std::size_t size = 0;
  };
  std::vector<Pool> pools;
  for (std::size_t i = 0; i < times.size(); ++i) {
    Pool pool{times[i], weights[i], 1};
    while (!pools.empty() && pools.back().time > pool.time) {
      const Pool& last = pools.back();
      const double weight = last.weight + pool.weight;
      pool = {(last.time * last.weight + pool.time * pool.weight) / weight, weight, last.size + pool.size};
      pools.pop_back();
    }
    pools.push_back(pool);
  }
  auto out = times.begin();
  for (const Pool& pool : pools) out = std::fill_n(out, pool.size, pool.time);
}

}  // namespace

RunningCosts::RunningCosts(std::span<const double> times, std::int32_t max_rows) : pause_(kFirstPause) {
  if (times.empty()) return;
  time_until_try_ = kFirstPause * times[0];
  const auto width_limit = static_cast<std::size_t>(max_rows);
  double time = 0.0;
  for (std::size_t i = 0; i < std::min(times.size(), width_limit); ++i) {
    time = std::max(time, times[i]);
    widths_.push_back({.measured = time});
  }
  // Past its end the curve goes on as in its upper half.
  const std::size_t half = (widths_.size() - 1) / 2;
  const double rise = time - widths_[half].measured;
  const double slope = widths_.size() > 1 ? rise / static_cast<double>(widths_.size() - 1 - half) : time;
  while (widths_.size() < width_limit) {
    time += slope;
    widths_.push_back({.measured = time});
  }
  refresh();
}

void RunningCosts::observe(std::int32_t rows, double time) {
  Width& seen = widths_[static_cast<std::size_t>(rows) - 1];
  // A coarse clock may say 0.
  const double surprise = std::log(std::max(time / seen.measured, 1e-3)) - seen.correction;
  const double step = std::clamp(surprise, -kMostFaster, kMostSlower) / (1.0 + seen.evidence);
  seen.evidence *= 1.0 - std::min(std::abs(surprise), kMostDoubt);
  for (std::size_t i = 0; i < widths_.size(); ++i) {
    const auto width = static_cast<double>(i + 1);
    const double likeness = std::min(width / rows, rows / width);
    widths_[i].correction += step * (kCommon + (1.0 - kCommon) * likeness);
    const double told = likeness * likeness * likeness * likeness;
    widths_[i].evidence = widths_[i].evidence * kForget + 0.5 * told;
    widths_[i].hope = std::min((widths_[i].hope + kMoreHope) * (1.0 - told), kMostHope);
    widths_[i].timed *= kForget;
  }
  seen.evidence += 0.5;
  seen.timed += 1.0;
  schedule_try(surprise, time);
  refresh();
}

void RunningCosts::schedule_try(double surprise, double time) {
  if (time_until_try_ > 0.0) {
    time_until_try_ -= time;
    return;
  }
  pause_ = surprise < kPaid ? kFirstPause : std::min(2.0 * pause_, kLongestPause);
  time_until_try_ = pause_ * time;
  next_try_is_plain_ = !next_try_is_plain_;
}

std::span<const double> RunningCosts::for_next_call() const noexcept {
  if (time_until_try_ > 0.0) return expected_;
  return next_try_is_plain_ ? std::span<const double>() : hopeful_;
}

void RunningCosts::refresh() {
  expected_.clear();
  std::vector<double> weights;
  for (const Width& width : widths_) {
    expected_.push_back(width.measured * std::exp(width.correction));
    weights.push_back(width.timed + kUntimed);
  }
  hopeful_.clear();
  if (time_until_try_ <= 0.0 && !next_try_is_plain_) {
    for (std::size_t i = 0; i < widths_.size(); ++i) {
      const Width& width = widths_[i];
      hopeful_.push_back(expected_[i] * std::exp(-(kHope + width.hope) / (1.0 + width.evidence)));
    }
    ascend(hopeful_, weights);
  }
  ascend(expected_, weights);
}

void observe_depths(RunningCosts& costs, std::span<const std::int32_t> slots, double time) {
  std::vector<double> times;  // what each depth was expected to take
  double total = 0.0;
  for (const std::int32_t width : slots) {
    times.push_back(costs.expected()[static_cast<std::size_t>(width) - 1]);
    total += times.back();
  }
  for (std::size_t k = 0; k < slots.size(); ++k) {
    if (k == 0 || slots[k] != slots[k - 1]) costs.observe(slots[k], times[k] * time / total);
  }
}

}  // namespace mtp_rt
