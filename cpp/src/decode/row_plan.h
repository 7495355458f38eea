// Which rows of which sequences go into the next verify call.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "mtp_rt/sequence.h"

namespace mtp_rt {

/// A sequence's share of a verify call: this many pending tokens, then this many nodes of its proposal.
struct RowShare {
  std::int32_t pending = 0;
  std::int32_t drafts = 0;
};

struct RowLimits {
  std::int32_t max_rows = 0;
  std::int32_t prefill_chunk = 0;  // pending rows of sequences that have more than one, per call
};

/// Time of a verify call by its number of rows, in any unit. Never falls with the rows.
class CostCurve {
 public:
  CostCurve() = default;

  /// `times[w - 1]`: the time of w rows. Wider calls are extrapolated.
  explicit CostCurve(std::span<const double> times);

  [[nodiscard]] bool empty() const noexcept { return times_.empty(); }
  [[nodiscard]] double operator()(std::int32_t rows) const;

 private:
  std::vector<double> times_;
  double slope_ = 0.0;
};

/// Shares for one call. Sequences that decode come first, then chunks of prompts, then drafts; each group in
/// the given order. Adaptive sequences draft while a row more promises more tokens per unit of time: never,
/// where `costs` is empty.
[[nodiscard]] std::vector<RowShare> plan_rows(std::span<Sequence* const> sequences, const RowLimits& limits,
                                              const CostCurve& costs);

}  // namespace mtp_rt
