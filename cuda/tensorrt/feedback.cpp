#include "tensorrt/feedback.h"

#include <cuda_runtime_api.h>

#include <cstddef>

namespace mtp_rt::cuda {
namespace {

constexpr std::size_t kMaxText = 1000;

bool aligned(const void* memory, std::uint64_t alignment) {
  return alignment <= 1 || reinterpret_cast<std::uintptr_t>(memory) % alignment == 0;
}

}  // namespace

// What log() appends needs no further memory.
Logger::Logger() { text_.reserve(kMaxText); }

void Logger::log(Severity severity, const char* message) noexcept {
  if (severity > Severity::kERROR || message == nullptr) return;
  const std::scoped_lock lock(mutex_);
  if (!text_.empty() && text_.size() + 2 < kMaxText) text_ += "; ";
  for (; *message != '\0' && text_.size() < kMaxText; ++message) {
    const bool printable = *message >= ' ' && *message <= '~';
    text_ += printable ? *message : *message == '\n' ? ' ' : '?';
  }
}

std::string Logger::take() {
  const std::scoped_lock lock(mutex_);
  std::string text(text_);
  text_.clear();
  return text;
}

void* Allocator::allocateAsync(std::uint64_t size, std::uint64_t alignment,
                               nvinfer1::AllocatorFlags /*flags*/, cudaStream_t stream) noexcept {
  if (size == 0) return nullptr;
  void* memory = nullptr;
  // Without a stream TensorRT does not say where the memory will be used: it must be there at once.
  const cudaError_t status =
      stream == nullptr ? cudaMalloc(&memory, size) : cudaMallocAsync(&memory, size, stream);
  if (status != cudaSuccess) {
    static_cast<void>(cudaGetLastError());
    if (status == cudaErrorMemoryAllocation) refused_ = size;
    return nullptr;
  }
  if (aligned(memory, alignment)) return memory;
  deallocateAsync(memory, stream);
  return nullptr;
}

bool Allocator::deallocateAsync(void* memory, cudaStream_t stream) noexcept {
  if (memory == nullptr) return true;
  if (stream != nullptr && cudaFreeAsync(memory, stream) == cudaSuccess) return true;
  // No stream, or memory that was taken without one: cudaFree() takes both kinds.
  static_cast<void>(cudaGetLastError());
  return cudaFree(memory) == cudaSuccess;
}

}  // namespace mtp_rt::cuda
