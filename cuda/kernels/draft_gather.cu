// Rows that drafting reads: the state of the last kept row, the embeddings of drafts.
#include "kernels/kernels.h"
#include "kernels/launch.h"

namespace mtp_rt::cuda {
namespace {

constexpr unsigned kThreads = 128;

template <typename Unit>
__global__ void __launch_bounds__(kThreads) gather_states(const Unit* states, Unit* to, std::int32_t units,
                                                          const StepRows rows, const StepOutcome* outcomes) {
  const auto unit = static_cast<std::int32_t>(blockIdx.x * kThreads + threadIdx.x);
  if (unit < units)
    gather_state(states, to, units, rows, outcomes, static_cast<std::int32_t>(blockIdx.y), unit);
}

template <typename Unit>
__global__ void __launch_bounds__(kThreads)
    embed_tokens(const Unit* table, const Token* tokens, Unit* to, std::int32_t units) {
  const auto unit = static_cast<std::int32_t>(blockIdx.x * kThreads + threadIdx.x);
  if (unit < units) embed(table, tokens, to, units, static_cast<std::int32_t>(blockIdx.y), unit);
}

/// Calls launch(unit, units of a row) with the widest unit that rows and addresses allow.
template <typename Launch>
void by_unit(const void* from, const void* to, std::size_t row_bytes, Launch launch) {
  const auto places =
      reinterpret_cast<std::uintptr_t>(from) | reinterpret_cast<std::uintptr_t>(to) | row_bytes;
  if (row_bytes == 0 || places % 2 != 0) {
    throw ArgumentError("row_bytes: rows of " + std::to_string(row_bytes) +
                        " bytes are not whole 16-bit values");
  }
  places % sizeof(uint4) == 0 ? launch(uint4{}, static_cast<std::int32_t>(row_bytes / sizeof(uint4)))
                              : launch(std::uint16_t{}, static_cast<std::int32_t>(row_bytes / 2));
}

}  // namespace

void enqueue_gather_state(const void* states, void* to, std::size_t row_bytes, const StepRows& rows,
                          const StepOutcome* outcomes, cudaStream_t stream) {
  check_rows(rows);
  by_unit(states, to, row_bytes, [&]<typename Unit>(Unit, std::int32_t units) {
    const dim3 grid(blocks_for(static_cast<std::size_t>(units), kThreads), static_cast<unsigned>(rows.batch));
    gather_states<<<grid, kThreads, 0, stream>>>(static_cast<const Unit*>(states), static_cast<Unit*>(to),
                                                 units, rows, outcomes);
  });
  check_launch("launching the gathering of states");
}

void enqueue_embed(const void* table, const Token* tokens, void* to, std::size_t row_bytes,
                   std::int32_t count, cudaStream_t stream) {
  if (count < 1 || count > 65535) throw ArgumentError("count: " + std::to_string(count) + " tokens to embed");
  by_unit(table, to, row_bytes, [&]<typename Unit>(Unit, std::int32_t units) {
    const dim3 grid(blocks_for(static_cast<std::size_t>(units), kThreads), static_cast<unsigned>(count));
    embed_tokens<<<grid, kThreads, 0, stream>>>(static_cast<const Unit*>(table), tokens,
                                                static_cast<Unit*>(to), units);
  });
  check_launch("launching the embedding of drafts");
}

}  // namespace mtp_rt::cuda
