#include <algorithm>
#include <cstddef>

#include "base/aligned_buffer.h"
#include "engines/onnxruntime/cache_memory.h"

namespace mtp_rt::onnxruntime {
namespace {

std::size_t floats(const CacheView& view) {
  return static_cast<std::size_t>(view.heads) * static_cast<std::size_t>(view.places) *
         static_cast<std::size_t>(view.head_dim);
}

/// The place of a head.
std::span<float> row(const CacheView& view, int head, std::size_t place) {
  const auto dim = static_cast<std::size_t>(view.head_dim);
  const auto first = static_cast<std::size_t>(head) * static_cast<std::size_t>(view.places);
  return std::span(view.data, floats(view)).subspan((first + place) * dim);
}

class HostMemory final : public CacheMemory {
 public:
  [[nodiscard]] std::shared_ptr<float> make_zeros(const CacheView& sizes) override {
    auto buffer = std::make_shared<AlignedBuffer>(floats(sizes) * sizeof(float));
    float* data = buffer->as<float>().data();
    return {std::move(buffer), data};
  }

  void copy(const CacheView& from, int filled, const CacheView& to) override {
    const std::size_t size = static_cast<std::size_t>(filled) * static_cast<std::size_t>(from.head_dim);
    for (int head = 0; head < from.heads; ++head) {
      std::ranges::copy(row(from, head, 0).first(size), row(to, head, 0).begin());
    }
  }

  void keep(const CacheView& cache, int base, std::span<const std::int32_t> offsets) override {
    const auto dim = static_cast<std::size_t>(cache.head_dim);
    const auto first = static_cast<std::size_t>(base);
    for (std::size_t i = 0; i < offsets.size(); ++i) {
      const auto from = static_cast<std::size_t>(offsets[i]);
      if (from == i) continue;
      for (int head = 0; head < cache.heads; ++head) {
        std::ranges::copy(row(cache, head, first + from).first(dim), row(cache, head, first + i).begin());
      }
    }
  }
};

}  // namespace

std::unique_ptr<CacheMemory> make_host_memory() { return std::make_unique<HostMemory>(); }

}  // namespace mtp_rt::onnxruntime
