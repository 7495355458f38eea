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

/// Shares for one call. Sequences that decode come first, then drafts of fixed number, but for a quarter of
/// the rows where there are prompts, then chunks of prompts, then adaptive drafts; each group in the given
/// order. Adaptive sequences draft while a row more promises more tokens per unit of time.
/// `costs[w - 1]`: time of a call of w rows in any unit, up to max_rows; empty: adaptive sequences do not
/// draft.
[[nodiscard]] std::vector<RowShare> plan_rows(std::span<Sequence* const> sequences, const RowLimits& limits,
                                              std::span<const double> costs);

}  // namespace mtp_rt
