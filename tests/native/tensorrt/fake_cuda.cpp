#include "fake_cuda.h"

#include <cuda_runtime_api.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include "kernels/copy_rows.h"
#include "kernels/kernels.h"

namespace mtp_rt::testing {
namespace {

constexpr std::size_t kAlignment = 256;
constexpr int kUnwritten = 0xCD;

std::map<std::uintptr_t, std::size_t>& allocations() {
  static std::map<std::uintptr_t, std::size_t> sizes;
  return sizes;
}

std::uintptr_t address(const void* memory) { return reinterpret_cast<std::uintptr_t>(memory); }

cudaError_t allocate(void** memory, std::size_t bytes) {
  if (bytes > gpu_free_bytes()) return cudaErrorMemoryAllocation;
  // No rounding up but to the alignment: the sanitizer's guards follow at once.
  *memory = std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
  std::memset(*memory, kUnwritten, bytes);
  allocations()[address(*memory)] = bytes;
  gpu_free_bytes() -= bytes;
  return cudaSuccess;
}

cudaError_t release(void* memory) {
  const auto found = allocations().find(address(memory));
  if (found == allocations().end()) return memory == nullptr ? cudaSuccess : cudaErrorInvalidValue;
  gpu_free_bytes() += found->second;
  allocations().erase(found);
  std::free(memory);
  return cudaSuccess;
}

}  // namespace

std::size_t& gpu_free_bytes() {
  static std::size_t bytes = std::size_t{1} << 30;
  return bytes;
}

std::size_t gpu_allocations() { return allocations().size(); }

bool is_gpu_memory(const void* memory, std::size_t bytes) {
  auto after = allocations().upper_bound(address(memory));
  if (after == allocations().begin()) return false;
  --after;
  return address(memory) + bytes <= after->first + after->second;
}

}  // namespace mtp_rt::testing

namespace mtp_rt::cuda {

void enqueue_move(const CacheLayout& cache, const StepRows& rows, const StepResults& results,
                  cudaStream_t /*stream*/) {
  const std::int32_t columns = cache.heads * cache.row_bytes / 2;
  for (std::int32_t matrix = 0; matrix < cache.count; ++matrix) {
    for (std::int32_t sequence = 0; sequence < rows.batch; ++sequence) {
      for (std::int32_t column = 0; column < columns; ++column) {
        move_column<std::uint16_t>(cache, rows, results, matrix, sequence, column);
      }
    }
  }
}

}  // namespace mtp_rt::cuda

using mtp_rt::testing::allocate;
using mtp_rt::testing::is_gpu_memory;
using mtp_rt::testing::release;

extern "C" {

cudaError_t cudaMalloc(void** memory, std::size_t bytes) { return allocate(memory, bytes); }
cudaError_t cudaMallocAsync(void** memory, std::size_t bytes, cudaStream_t) {
  return allocate(memory, bytes);
}
cudaError_t cudaFree(void* memory) { return release(memory); }
cudaError_t cudaFreeAsync(void* memory, cudaStream_t) { return release(memory); }
cudaError_t cudaMallocHost(void**, std::size_t) { return cudaErrorNotSupported; }
cudaError_t cudaFreeHost(void*) { return cudaErrorNotSupported; }

cudaError_t cudaMemsetAsync(void* memory, int value, std::size_t bytes, cudaStream_t) {
  if (!is_gpu_memory(memory, bytes)) return cudaErrorInvalidValue;
  std::memset(memory, value, bytes);
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t) {
  if (bytes == 0) return cudaSuccess;
  const bool upload = kind == cudaMemcpyHostToDevice;
  if (!is_gpu_memory(upload ? to : from, bytes) || is_gpu_memory(upload ? from : to, 1))
    return cudaErrorInvalidValue;
  std::memcpy(to, from, bytes);
  return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  *properties = {};
  std::snprintf(properties->name, sizeof properties->name, "Fake GPU");
  properties->major = 9;
  properties->totalGlobalMem = std::size_t{1} << 30;
  return cudaSuccess;
}

cudaError_t cudaGetLastError() { return cudaSuccess; }
const char* cudaGetErrorString(cudaError_t status) {
  return status == cudaErrorMemoryAllocation ? "out of memory" : "failed";
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = reinterpret_cast<cudaStream_t>(std::malloc(1));
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  std::free(stream);
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }

// Nothing is captured here.
cudaError_t cudaStreamBeginCapture(cudaStream_t, cudaStreamCaptureMode) { return cudaErrorNotSupported; }
cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t*) { return cudaErrorNotSupported; }
cudaError_t cudaGraphInstantiate(cudaGraphExec_t*, cudaGraph_t, unsigned long long) {
  return cudaErrorNotSupported;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t, cudaStream_t) { return cudaErrorNotSupported; }
cudaError_t cudaGraphDestroy(cudaGraph_t) { return cudaErrorNotSupported; }
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t) { return cudaErrorNotSupported; }
}
