// One block per row: threads share out the vocabulary. A second block beside it would take registers away.
#include "kernels/kernels.h"
#include "kernels/launch.h"

namespace mtp_rt::cuda {
namespace {

constexpr std::int32_t kThreads = 512;
constexpr std::int32_t kListed = 256;

__global__ void __launch_bounds__(kThreads, 1)
    pick_rows(const LoopState state, const StepRows rows, const StepScores scores, Token* picks) {
  __shared__ PickStepShared<kThreads, kListed> shared;
  pick_step_row(DeviceBlock(), state, rows, scores, static_cast<std::int32_t>(blockIdx.y),
                static_cast<std::int32_t>(blockIdx.x), picks, shared);
}

__global__ void __launch_bounds__(kThreads, 1)
    pick_drafts(const LoopState state, const StepRows rows, const DraftScores scores) {
  __shared__ PickShared<kThreads, kListed> shared;
  pick_draft(DeviceBlock(), state, rows, scores, static_cast<std::int32_t>(blockIdx.x), shared);
}

}  // namespace

void enqueue_pick(const LoopState& state, const StepRows& rows, const StepScores& scores, Token* picks,
                  cudaStream_t stream) {
  check_rows(rows);
  check_vocab(state.vocab);
  const dim3 grid(static_cast<unsigned>(rows.width), static_cast<unsigned>(rows.batch));
  pick_rows<<<grid, kThreads, 0, stream>>>(state, rows, scores, picks);
  check_launch("launching pick");
}

void enqueue_pick_draft(const LoopState& state, const StepRows& rows, const DraftScores& scores,
                        cudaStream_t stream) {
  check_rows(rows);
  check_vocab(scores.vocab);
  if (scores.depth < 0 || scores.depth >= rows.width - 1) {
    throw ArgumentError("depth: " + std::to_string(scores.depth) + " of a step of " +
                        std::to_string(rows.width - 1) + " drafts");
  }
  pick_drafts<<<static_cast<unsigned>(rows.batch), kThreads, 0, stream>>>(state, rows, scores);
  check_launch("launching the drafts' pick");
}

}  // namespace mtp_rt::cuda
