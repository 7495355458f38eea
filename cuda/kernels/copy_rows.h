// Rows moved and gathered: the cache's places, states, embeddings.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/host_device.h"
#include "kernels/step_types.h"

namespace mtp_rt::cuda {

/// Keys or values of all layers, one matrix [slots, heads, places, row] each.
struct CacheLayout {
  void* const* matrices = nullptr;  // [matrices]
  std::int32_t count = 0;           // matrices
  std::int32_t heads = 0;
  std::int32_t places = 0;
  std::int32_t row_bytes = 0;
};

/// Moves the rows that a sequence keeps together, in one column of `Unit` of one head of a matrix. Rows move
/// to lower places, the first one first, so none is overwritten before it has moved.
template <typename Unit>
MTP_RT_DEVICE void move_column(const CacheLayout& cache, const StepRows& rows, const StepResults& results,
                               std::int32_t matrix, std::int32_t sequence, std::int32_t column) {
  const StepOutcome& outcome = results.outcomes[sequence];
  if (outcome.count == 0 || outcome.last_row == outcome.count - 1) return;  // a chain lies where it belongs
  const std::int32_t units = cache.row_bytes / static_cast<std::int32_t>(sizeof(Unit));
  const std::int32_t head = column / units;
  const std::int64_t first_row =
      (std::int64_t{rows.slots[sequence]} * cache.heads + head) * cache.places + outcome.place;
  Unit* at = static_cast<Unit*>(cache.matrices[matrix]) + first_row * units + column % units;
  const std::int32_t* kept = results.kept + sequence * rows.width;
  for (std::int32_t i = 1; i < outcome.count; ++i) {
    if (kept[i] != i) at[std::int64_t{i} * units] = at[std::int64_t{kept[i]} * units];
  }
}

/// to[row] = the state of the last row that a sequence keeps: what its drafts start from.
template <typename Unit>
MTP_RT_DEVICE void gather_state(const Unit* states, Unit* to, std::int32_t units, const StepRows& rows,
                                const StepOutcome* outcomes, std::int32_t sequence, std::int32_t unit) {
  const std::int64_t row = std::int64_t{sequence} * rows.width + outcomes[sequence].last_row;
  to[std::int64_t{sequence} * units + unit] = states[row * units + unit];
}

/// to[i] = the table's row of the i-th token.
template <typename Unit>
MTP_RT_DEVICE void embed(const Unit* table, const Token* tokens, Unit* to, std::int32_t units, std::int32_t i,
                         std::int32_t unit) {
  to[std::int64_t{i} * units + unit] = table[std::int64_t{tokens[i]} * units + unit];
}

}  // namespace mtp_rt::cuda
