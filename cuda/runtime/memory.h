// Memory of the GPU, and memory of the host that the GPU copies from and to.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <type_traits>

#include "runtime/error.h"

namespace mtp_rt::cuda {

struct FreeDevice {
  void operator()(void* memory) const noexcept;
};
struct FreeHost {
  void operator()(void* memory) const noexcept;
};

[[nodiscard]] std::unique_ptr<void, FreeDevice> allocate_device(std::size_t bytes);
[[nodiscard]] std::unique_ptr<void, FreeHost> allocate_host(std::size_t bytes);

/// `size` values in the memory of the current GPU, not initialised. Movable.
template <typename T>
class DeviceBuffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  DeviceBuffer() = default;

  /// Throws CapacityError where the GPU's memory does not suffice.
  explicit DeviceBuffer(std::size_t size) : memory_(allocate_device(size * sizeof(T))), size_(size) {}

  [[nodiscard]] T* data() const noexcept { return static_cast<T*>(memory_.get()); }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return size_ * sizeof(T); }

  /// Enqueues setting every byte to `value`.
  void fill(int value, cudaStream_t stream) {
    check(cudaMemsetAsync(data(), value, bytes(), stream), "clearing GPU memory");
  }

  /// Enqueues a copy of `values` to the place `at`. Host memory that is not pinned is read before the call
  /// returns.
  void upload(std::span<const T> values, cudaStream_t stream, std::size_t at = 0) {
    copy(static_cast<void*>(data() + at), static_cast<const void*>(values.data()), values.size_bytes(),
         cudaMemcpyHostToDevice, stream);
  }

  /// Enqueues a copy of the first values into `values`; they are there when the stream has come so far.
  void download(std::span<T> values, cudaStream_t stream) const {
    copy(static_cast<void*>(values.data()), static_cast<const void*>(data()), values.size_bytes(),
         cudaMemcpyDeviceToHost, stream);
  }

 private:
  static void copy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
    check(cudaMemcpyAsync(to, from, bytes, kind, stream), "copying between the GPU and the host");
  }

  std::unique_ptr<void, FreeDevice> memory_;
  std::size_t size_ = 0;
};

/// `size` values in pinned host memory, zero at first. Movable.
template <typename T>
class PinnedBuffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  PinnedBuffer() = default;
  explicit PinnedBuffer(std::size_t size) : memory_(allocate_host(size * sizeof(T))), size_(size) {}

  [[nodiscard]] std::span<T> values() const noexcept { return {static_cast<T*>(memory_.get()), size_}; }

 private:
  std::unique_ptr<void, FreeHost> memory_;
  std::size_t size_ = 0;
};

}  // namespace mtp_rt::cuda
