#include "runtime/memory.h"

#include <cstring>

namespace mtp_rt::cuda {

// Freeing fails only where the context is gone already, and the memory with it.
void FreeDevice::operator()(void* memory) const noexcept { static_cast<void>(cudaFree(memory)); }
void FreeHost::operator()(void* memory) const noexcept { static_cast<void>(cudaFreeHost(memory)); }

std::unique_ptr<void, FreeDevice> allocate_device(std::size_t bytes) {
  void* memory = nullptr;
  if (bytes > 0) check(cudaMalloc(&memory, bytes), "allocating GPU memory");
  return std::unique_ptr<void, FreeDevice>(memory);
}

std::unique_ptr<void, FreeHost> allocate_host(std::size_t bytes) {
  void* memory = nullptr;
  if (bytes == 0) return nullptr;
  check(cudaMallocHost(&memory, bytes), "allocating pinned memory");
  std::memset(memory, 0, bytes);
  return std::unique_ptr<void, FreeHost>(memory);
}

}  // namespace mtp_rt::cuda
