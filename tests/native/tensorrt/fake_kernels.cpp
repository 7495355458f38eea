// The kernels on the fake GPU: their bodies, by threads that take turns.
#include <memory>

#include "fake_cuda.h"
#include "kernels/commit_body.h"
#include "kernels/copy_rows.h"
#include "kernels/host_block.h"
#include "kernels/kernels.h"
#include "kernels/launch.h"
#include "kernels/lay_rows_body.h"

namespace mtp_rt::cuda {
namespace {

constexpr std::int32_t kThreads = 16;
constexpr std::int32_t kListed = 4;
constexpr std::uint32_t kOrder = 1;

/// Enqueues act(item) for 0 .. count - 1.
template <typename Act>
void enqueue_each(std::int32_t count, Act act) {
  testing::on_gpu([=] {
    for (std::int32_t item = 0; item < count; ++item) act(item);
    return true;
  });
}

}  // namespace

void enqueue_lay_rows(const LoopState& state, const StepRows& rows, const VerifyInputs& inputs,
                      cudaStream_t /*stream*/) {
  check_rows(rows);
  enqueue_each(rows.batch * rows.width,
               [=](std::int32_t row) { lay_row(state, rows, inputs, row / rows.width, row % rows.width); });
}

void enqueue_pick(const LoopState& state, const StepRows& rows, const StepScores& scores, Token* picks,
                  cudaStream_t /*stream*/) {
  check_rows(rows);
  check_vocab(state.vocab);
  enqueue_each(rows.batch * rows.width, [=](std::int32_t row) {
    const auto shared = std::make_unique<PickStepShared<kThreads, kListed>>();
    pick_step_row(HostBlock(kThreads, kOrder), state, rows, scores, row / rows.width, row % rows.width, picks,
                  *shared);
  });
}

void enqueue_commit(const LoopState& state, const StepRows& rows, const StepResults& results,
                    cudaStream_t /*stream*/) {
  check_rows(rows);
  enqueue_each(rows.batch, [=](std::int32_t sequence) { commit_sequence(state, rows, results, sequence); });
}

void enqueue_move(const CacheLayout& cache, const StepRows& rows, const StepResults& results,
                  cudaStream_t /*stream*/) {
  check_rows(rows);
  const std::int32_t columns = cache.heads * cache.row_bytes / 2;
  enqueue_each(cache.count * rows.batch * columns, [=](std::int32_t item) {
    move_column<std::uint16_t>(cache, rows, results, item / columns / rows.batch, item / columns % rows.batch,
                               item % columns);
  });
}

void enqueue_gather_state(const void* states, void* to, std::size_t row_bytes, const StepRows& rows,
                          const StepOutcome* outcomes, cudaStream_t /*stream*/) {
  check_rows(rows);
  const auto units = static_cast<std::int32_t>(row_bytes / 2);
  enqueue_each(rows.batch * units, [=](std::int32_t item) {
    gather_state(static_cast<const std::uint16_t*>(states), static_cast<std::uint16_t*>(to), units, rows,
                 outcomes, item / units, item % units);
  });
}

void enqueue_pick_draft(const LoopState& state, const StepRows& rows, const DraftScores& scores,
                        cudaStream_t /*stream*/) {
  check_rows(rows);
  check_vocab(scores.vocab);
  if (scores.depth < 0 || scores.depth >= rows.width - 1) throw ArgumentError("depth: out of range");
  enqueue_each(rows.batch, [=](std::int32_t sequence) {
    const auto shared = std::make_unique<PickShared<kThreads, kListed>>();
    pick_draft(HostBlock(kThreads, kOrder), state, rows, scores, sequence, *shared);
  });
}

}  // namespace mtp_rt::cuda
