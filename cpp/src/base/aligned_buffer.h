// Zero-filled memory for weights, caches and activations.
#pragma once

#include <cstddef>
#include <span>
#include <utility>

namespace mtp_rt {

/// Huge pages are read faster; what is written here and there takes less memory on small ones.
enum class Pages { huge, small };

/// Page-aligned memory, zero until written. Moves, never copies.
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  /// From 2 MB on it is on huge pages, where those are wanted and the system grants them. Throws
  /// std::bad_alloc.
  explicit AlignedBuffer(std::size_t bytes, Pages pages = Pages::huge);
  ~AlignedBuffer();
  AlignedBuffer(AlignedBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        bytes_(std::exchange(other.bytes_, 0)),
        mapped_(std::exchange(other.mapped_, 0)) {}
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    std::swap(mapped_, other.mapped_);
    return *this;
  }
  AlignedBuffer(const AlignedBuffer&) = delete;
  AlignedBuffer& operator=(const AlignedBuffer&) = delete;

  [[nodiscard]] std::byte* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t size() const noexcept { return bytes_; }

  template <typename T>
  [[nodiscard]] std::span<T> as() const noexcept {
    return {reinterpret_cast<T*>(data_), bytes_ / sizeof(T)};
  }

 private:
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
  std::size_t mapped_ = 0;
};

}  // namespace mtp_rt
