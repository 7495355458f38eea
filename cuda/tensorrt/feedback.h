// What TensorRT says and asks for while it works: messages and memory.
#pragma once

#include <NvInferRuntime.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>

namespace mtp_rt::cuda {

/// Keeps TensorRT's errors and prints nothing. TensorRT may call it from threads of its own.
class Logger final : public nvinfer1::ILogger {
 public:
  Logger();
  void log(Severity severity, const char* message) noexcept override;

  /// The errors since the last call, printable, the first ones where they are many; empty: there were none.
  [[nodiscard]] std::string take();

 private:
  std::mutex mutex_;
  std::string text_;
};

/// The GPU's memory for TensorRT; it remembers what could not be had.
class Allocator final : public nvinfer1::IGpuAsyncAllocator {
 public:
  void* allocateAsync(std::uint64_t size, std::uint64_t alignment, nvinfer1::AllocatorFlags flags,
                      cudaStream_t stream) noexcept override;
  bool deallocateAsync(void* memory, cudaStream_t stream) noexcept override;

  /// Bytes of the last request since the last call that the GPU's memory did not suffice for; 0: there was
  /// none.
  [[nodiscard]] std::uint64_t take_refused() noexcept { return refused_.exchange(0); }

 private:
  std::atomic<std::uint64_t> refused_{0};
};

}  // namespace mtp_rt::cuda
