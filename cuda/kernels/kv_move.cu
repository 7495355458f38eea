// One thread per column of a head: it moves the kept rows one after another.
#include "kernels/kernels.h"
#include "kernels/launch.h"

namespace mtp_rt::cuda {
namespace {

constexpr unsigned kThreads = 128;

template <typename Unit>
__global__ void __launch_bounds__(kThreads)
    move_rows(const CacheLayout cache, const StepRows rows, const StepResults results) {
  const auto column = static_cast<std::int32_t>(blockIdx.x * kThreads + threadIdx.x);
  if (column >= cache.heads * (cache.row_bytes / static_cast<std::int32_t>(sizeof(Unit)))) return;
  const auto matrix = static_cast<std::int32_t>(blockIdx.z);
  move_column<Unit>(cache, rows, results, matrix, static_cast<std::int32_t>(blockIdx.y), column);
}

template <typename Unit>
void launch(const CacheLayout& cache, const StepRows& rows, const StepResults& results, cudaStream_t stream) {
  const std::size_t columns =
      static_cast<std::size_t>(cache.heads) * (static_cast<std::size_t>(cache.row_bytes) / sizeof(Unit));
  const dim3 grid(blocks_for(columns, kThreads), static_cast<unsigned>(rows.batch),
                  static_cast<unsigned>(cache.count));
  move_rows<Unit><<<grid, kThreads, 0, stream>>>(cache, rows, results);
  check_launch("launching the move of cache rows");
}

}  // namespace

void enqueue_move(const CacheLayout& cache, const StepRows& rows, const StepResults& results,
                  cudaStream_t stream) {
  check_rows(rows);
  if (cache.count < 1 || cache.count > 65535 || cache.heads < 1 || cache.row_bytes < 2 ||
      cache.row_bytes % 2 != 0) {
    throw ArgumentError("cache: " + std::to_string(cache.count) + " matrices of " +
                        std::to_string(cache.heads) + " heads with rows of " +
                        std::to_string(cache.row_bytes) + " bytes");
  }
  cache.row_bytes % 16 == 0 ? launch<uint4>(cache, rows, results, stream)
                            : launch<std::uint16_t>(cache, rows, results, stream);
}

}  // namespace mtp_rt::cuda
