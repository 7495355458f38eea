// The inputs of a verify call, from the loop's state and the drafts.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/host_device.h"
#include "kernels/step_types.h"

namespace mtp_rt::cuda {

/// Writes one row's inputs, by one thread. A row without a draft holds token 0 at the first row's position
/// and sees itself and the sequence: its results are finite, and nobody reads them.
MTP_RT_DEVICE inline void lay_row(const LoopState& state, const StepRows& rows, const VerifyInputs& inputs,
                                  std::int32_t sequence, std::int32_t row) {
  const std::int32_t slot = rows.slots[sequence];
  const bool runs = slot >= 0 && state.slots[slot].ending == Ending::none;
  const std::int32_t place = runs ? state.slots[slot].length - 1 : 0;
  const auto at = static_cast<std::size_t>(sequence * rows.width + row);
  bool* sees = inputs.tree + at * static_cast<std::size_t>(rows.width);
  for (std::int32_t i = 0; i < rows.width; ++i) sees[i] = i == row;
  std::int64_t token = 0;
  std::int64_t position = place;
  const std::int32_t first = sequence * (rows.width - 1) - 1;  // of this sequence's nodes; node = row - 1
  if (runs && row == 0) {
    token = state.tokens[static_cast<std::size_t>(slot) * static_cast<std::size_t>(state.context) +
                         static_cast<std::size_t>(place)];
  } else if (runs && row <= rows.draft_counts[sequence]) {
    token = rows.drafts[first + row];
    for (std::int32_t r = row; r > 0; ++position) {
      r = rows.parents[first + r];
      sees[r] = true;
    }
  }
  inputs.tokens[at] = token;
  inputs.positions[at] = position;
  if (row == 0) inputs.lengths[sequence] = place;
}

}  // namespace mtp_rt::cuda
