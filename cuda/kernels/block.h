// What the body of a kernel sees of its block of threads.
//
// A body is a sequence of phases: block.phase(f) calls f(thread) for every thread, then all wait. Within a
// phase no thread reads what another one writes; they meet in add() only. What decides over phases to come
// goes through read(), because a thread that is ahead may be writing already. So one body runs as a kernel
// and, with the threads taking turns in any order, on the host (host_block.h).
#pragma once

#include <cstdint>

#include "base/host_device.h"

namespace mtp_rt::cuda {

#if defined(__CUDACC__)
/// The block that the kernel runs in.
class DeviceBlock {
 public:
  [[nodiscard]] __device__ std::int32_t threads() const { return static_cast<std::int32_t>(blockDim.x); }

  template <typename Function>
  __device__ void phase(Function function) const {
    function(static_cast<std::int32_t>(threadIdx.x));
    __syncthreads();
  }

  /// A value in shared memory, the same for all threads.
  template <typename Value>
  [[nodiscard]] __device__ Value read(const Value& value) const {
    const Value copy = value;
    __syncthreads();
    return copy;
  }

  /// Adds to a counter that other threads add to in this phase; returns what it was.
  __device__ std::uint32_t add(std::uint32_t& counter, std::uint32_t count) const {
    return atomicAdd(&counter, count);
  }
};
#endif

inline constexpr std::int32_t kFoldLanes = 32;

/// values[0] = all threads' values, one each, joined; `join` is associative and commutative.
template <typename Block, typename Value, typename Join>
MTP_RT_DEVICE void fold(const Block& block, Value* values, Join join) {
  const std::int32_t threads = block.threads();
  const std::int32_t lanes = threads < kFoldLanes ? threads : kFoldLanes;
  block.phase([&](std::int32_t thread) {
    if (thread >= lanes) return;
    Value value = values[thread];
    for (std::int32_t i = thread + lanes; i < threads; i += lanes) value = join(value, values[i]);
    values[thread] = value;
  });
  block.phase([&](std::int32_t thread) {
    if (thread != 0) return;
    Value value = values[0];
    for (std::int32_t i = 1; i < lanes; ++i) value = join(value, values[i]);
    values[0] = value;
  });
}

}  // namespace mtp_rt::cuda
