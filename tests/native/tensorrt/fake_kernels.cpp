// The kernels on the fake GPU: their bodies, by threads that take turns.
#include "fake_cuda.h"
#include "kernels/host_step.h"
#include "kernels/kernels.h"
#include "kernels/launch.h"

namespace mtp_rt::cuda {
namespace {

/// Enqueues what `act` does.
template <typename Act>
void enqueue(Act act) {
  testing::on_gpu([=] {
    act();
    return true;
  });
}

}  // namespace

void enqueue_lay_rows(const LoopState& state, const StepRows& rows, const VerifyInputs& inputs,
                      cudaStream_t /*stream*/) {
  check_rows(rows);
  enqueue([=] { lay_rows_on_host(state, rows, inputs); });
}

void enqueue_pick(const LoopState& state, const StepRows& rows, const StepScores& scores, Token* picks,
                  cudaStream_t /*stream*/) {
  check_rows(rows);
  check_vocab(state.vocab);
  enqueue([=] { pick_on_host(state, rows, scores, picks); });
}

void enqueue_commit(const LoopState& state, const StepRows& rows, const StepResults& results,
                    cudaStream_t /*stream*/) {
  check_rows(rows);
  enqueue([=] { commit_on_host(state, rows, results); });
}

void enqueue_move(const CacheLayout& cache, const StepRows& rows, const StepResults& results,
                  cudaStream_t /*stream*/) {
  check_rows(rows);
  enqueue([=] { move_on_host(cache, rows, results); });
}

void enqueue_gather_state(const void* states, void* to, std::size_t row_bytes, const StepRows& rows,
                          const StepOutcome* outcomes, cudaStream_t /*stream*/) {
  check_rows(rows);
  const auto units = static_cast<std::int32_t>(row_bytes / 2);
  enqueue([=] {
    gather_state_on_host(static_cast<const std::uint16_t*>(states), static_cast<std::uint16_t*>(to), units,
                         rows, outcomes);
  });
}

void enqueue_pick_draft(const LoopState& state, const StepRows& rows, const DraftScores& scores,
                        cudaStream_t /*stream*/) {
  check_rows(rows);
  check_vocab(scores.vocab);
  if (scores.depth < 0 || scores.depth >= rows.width - 1) throw ArgumentError("depth: out of range");
  enqueue([=] { pick_draft_on_host(state, rows, scores); });
}

}  // namespace mtp_rt::cuda
