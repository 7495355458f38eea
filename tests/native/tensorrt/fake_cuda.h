// A GPU made of the host's memory: the functions of the CUDA runtime that cuda/runtime and cuda/tensorrt
// call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace mtp_rt::testing {

/// Bytes that the GPU still has; allocations of more fail.
[[nodiscard]] std::size_t& gpu_free_bytes();

/// Does what a kernel or a plan does, at once or, while a capture goes on, whenever its graph runs. A graph
/// runs when it is waited for or something else is done, so what is read too early is old. False: it fails.
void on_gpu(std::function<bool()> work);
[[nodiscard]] bool is_capturing();

/// Graphs that were made, counted.
[[nodiscard]] std::int32_t& graphs_captured();

/// Allocations that have not ended, of pinned memory too.
[[nodiscard]] std::size_t gpu_allocations();

/// Whether `bytes` from `memory` on lie within one allocation.
[[nodiscard]] bool is_gpu_memory(const void* memory, std::size_t bytes);

}  // namespace mtp_rt::testing
