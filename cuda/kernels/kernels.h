// Everything of a step that runs between the graphs. Each function enqueues one kernel on a stream of the
// current GPU; none allocates or waits, so all can be captured. Pointers are to the GPU's memory.
//
// Functions throw ArgumentError on sizes out of range and EngineError where the launch fails. What a kernel
// meets later comes out where the stream is waited for.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "kernels/copy_rows.h"
#include "kernels/pick_step.h"
#include "kernels/step_types.h"

namespace mtp_rt::cuda {

/// Lays out what verify reads: the last committed tokens and the drafts.
void enqueue_lay_rows(const LoopState& state, const StepRows& rows, const VerifyInputs& inputs,
                      cudaStream_t stream);

/// Picks a token behind every row; one block per row.
void enqueue_pick(const LoopState& state, const StepRows& rows, const StepScores& scores, Token* picks,
                  cudaStream_t stream);

/// Walks the drafts along the picks, commits and writes the results.
void enqueue_commit(const LoopState& state, const StepRows& rows, const StepResults& results,
                    cudaStream_t stream);

/// Moves the cache's rows that stay together. Rows are whole 16-bit values; matrices are aligned to 16 bytes
/// where rows take a multiple of 16, else to 2.
void enqueue_move(const CacheLayout& cache, const StepRows& rows, const StepResults& results,
                  cudaStream_t stream);

/// to [batch, row_bytes] = states [batch, width, row_bytes] of the rows that drafts start from.
void enqueue_gather_state(const void* states, void* to, std::size_t row_bytes, const StepRows& rows,
                          const StepOutcome* outcomes, cudaStream_t stream);

/// to [count, row_bytes] = the rows of table [vocab, row_bytes] that tokens [count] name.
void enqueue_embed(const void* table, const Token* tokens, void* to, std::size_t row_bytes,
                   std::int32_t count, cudaStream_t stream);

/// Writes the drafts of one depth; after enqueue_commit(), the depths in order.
void enqueue_pick_draft(const LoopState& state, const StepRows& rows, const DraftScores& scores,
                        cudaStream_t stream);

}  // namespace mtp_rt::cuda
