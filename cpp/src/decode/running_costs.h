// What a call costs by its number of rows: measured once, corrected as calls run.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace mtp_rt {

/// Running estimates of the time of a call, one for each number of rows.
///
/// A machine's memory and cores are shared, so a curve measured once goes stale. Each timed call corrects its
/// own width, and the others the more the closer they are: what slows one call slows its neighbours too. No
/// time falls with the rows; where widths disagree about that, they meet, the better known one weighing more.
class RunningCosts {
 public:
  /// Nothing is known.
  RunningCosts() = default;

  /// `times[w - 1]`: the measured time of w rows, in any unit. Wider calls, up to `max_rows`, continue the
  /// slope of its upper half.
  RunningCosts(std::span<const double> times, std::int32_t max_rows);

  /// [w - 1]: the time of a call of w rows; empty where nothing is known.
  [[nodiscard]] std::span<const double> expected() const noexcept { return expected_; }

  /// What to plan the next call with: the expected times, but at tries, by turns, those that are worth a try
  /// (lower, the longer ago calls of about that width were timed) and none at all, for a call without drafts.
  /// That is how a width thought too dear is met again: soon after a try that found its width cheaper than
  /// expected, else as often as takes 1/64 of the time.
  [[nodiscard]] std::span<const double> for_next_call() const noexcept;

  /// A call of `rows` rows, 1 .. max_rows, took `time`.
  void observe(std::int32_t rows, double time);

 private:
  struct Width {
    double measured = 0.0;
    double correction = 0.0;  // logarithm of what the measured time is to be multiplied by
    double timed = 0.0;       // calls of this width, old ones counting less
    double evidence = 0.0;    // the same of all widths, distant ones counting less
    double hope = 0.0;        // logarithm of how much faster it may be, for want of calls like it
  };

  void schedule_try(double surprise, double time);
  void refresh();

  std::vector<Width> widths_;
  std::vector<double> expected_;
  std::vector<double> hopeful_;  // only for a try
  double pause_ = 0.0;           // between tries, in times of the last one
  double time_until_try_ = 0.0;
  bool next_try_is_plain_ = false;
};

/// Of the two calls of a step.
struct StepCosts {
  RunningCosts verify;  // by rows
  RunningCosts draft;   // one depth, by slots
};

/// Tells `costs` that a draft call took `time`: `slots[k]` slots drafted at depth k.
void observe_depths(RunningCosts& costs, std::span<const std::int32_t> slots, double time);

}  // namespace mtp_rt
