// The kernels of a step on the host, for tests: what kernels.h enqueues, done at once by the same bodies.
#pragma once

#include <cstdint>
#include <memory>

#include "kernels/commit_body.h"
#include "kernels/copy_rows.h"
#include "kernels/host_block.h"
#include "kernels/lay_rows_body.h"
#include "kernels/pick_step.h"

namespace mtp_rt::cuda {

inline constexpr std::int32_t kHostThreads = 16;
inline constexpr std::int32_t kHostListed = 4;  // few: searches go digit by digit

/// Calls act(item) for all of `count` items, the last one first: none may depend on one before it.
template <typename Act>
void each_backwards(std::int32_t count, Act act) {
  while (count-- > 0) act(count);
}

inline void lay_rows_on_host(const LoopState& state, const StepRows& rows, const VerifyInputs& inputs) {
  each_backwards(rows.batch * rows.width,
                 [&](std::int32_t row) { lay_row(state, rows, inputs, row / rows.width, row % rows.width); });
}

/// `order`: the seed of the order in which threads take turns.
inline void pick_on_host(const LoopState& state, const StepRows& rows, const StepScores& scores, Token* picks,
                         std::uint32_t order = 1) {
  const HostBlock block(kHostThreads, order);
  const auto shared = std::make_unique<PickStepShared<kHostThreads, kHostListed>>();
  each_backwards(rows.batch * rows.width, [&](std::int32_t row) {
    pick_step_row(block, state, rows, scores, row / rows.width, row % rows.width, picks, *shared);
  });
}

inline void commit_on_host(const LoopState& state, const StepRows& rows, const StepResults& results) {
  each_backwards(rows.batch, [&](std::int32_t sequence) { commit_sequence(state, rows, results, sequence); });
}

inline void move_on_host(const CacheLayout& cache, const StepRows& rows, const StepResults& results) {
  const std::int32_t columns = cache.heads * cache.row_bytes / 2;
  each_backwards(cache.count * rows.batch * columns, [&](std::int32_t item) {
    const std::int32_t matrix = item / columns / rows.batch;
    move_column<std::uint16_t>(cache, rows, results, matrix, item / columns % rows.batch, item % columns);
  });
}

/// Rows have `units` values.
template <typename Unit>
void gather_state_on_host(const Unit* states, Unit* to, std::int32_t units, const StepRows& rows,
                          const StepOutcome* outcomes) {
  each_backwards(rows.batch * units, [&](std::int32_t item) {
    gather_state(states, to, units, rows, outcomes, item / units, item % units);
  });
}

inline void pick_draft_on_host(const LoopState& state, const StepRows& rows, const DraftScores& scores) {
  const HostBlock block(kHostThreads, 1);
  const auto shared = std::make_unique<PickShared<kHostThreads, kHostListed>>();
  each_backwards(rows.batch,
                 [&](std::int32_t sequence) { pick_draft(block, state, rows, scores, sequence, *shared); });
}

}  // namespace mtp_rt::cuda
