// A GPU made of the host's memory: the functions of the CUDA runtime that cuda/runtime and cuda/tensorrt
// call.
#pragma once

#include <cstddef>

namespace mtp_rt::testing {

/// Bytes that the GPU still has; allocations of more fail.
[[nodiscard]] std::size_t& gpu_free_bytes();

/// Allocations that have not ended.
[[nodiscard]] std::size_t gpu_allocations();

/// Whether `bytes` from `memory` on lie within one allocation.
[[nodiscard]] bool is_gpu_memory(const void* memory, std::size_t bytes);

}  // namespace mtp_rt::testing
