// One thread per sequence walks its drafts; one thread per row lays out the next step.
#include "kernels/commit_body.h"
#include "kernels/kernels.h"
#include "kernels/launch.h"
#include "kernels/lay_rows_body.h"

namespace mtp_rt::cuda {
namespace {

constexpr unsigned kThreads = 32;

__global__ void __launch_bounds__(kThreads)
    commit_sequences(const LoopState state, const StepRows rows, const StepResults results) {
  const auto sequence = static_cast<std::int32_t>(blockIdx.x * kThreads + threadIdx.x);
  if (sequence < rows.batch) commit_sequence(state, rows, results, sequence);
}

__global__ void __launch_bounds__(kThreads)
    lay_rows(const LoopState state, const StepRows rows, const VerifyInputs inputs) {
  const auto row = static_cast<std::int32_t>(blockIdx.x * kThreads + threadIdx.x);
  if (row < rows.batch * rows.width) lay_row(state, rows, inputs, row / rows.width, row % rows.width);
}

}  // namespace

void enqueue_commit(const LoopState& state, const StepRows& rows, const StepResults& results,
                    cudaStream_t stream) {
  check_rows(rows);
  const auto sequences = static_cast<std::size_t>(rows.batch);
  commit_sequences<<<blocks_for(sequences, kThreads), kThreads, 0, stream>>>(state, rows, results);
  check_launch("launching commit");
}

void enqueue_lay_rows(const LoopState& state, const StepRows& rows, const VerifyInputs& inputs,
                      cudaStream_t stream) {
  check_rows(rows);
  const auto all = static_cast<std::size_t>(rows.batch) * static_cast<std::size_t>(rows.width);
  lay_rows<<<blocks_for(all, kThreads), kThreads, 0, stream>>>(state, rows, inputs);
  check_launch("launching the layout of rows");
}

}  // namespace mtp_rt::cuda
