#include "engines/onnxruntime/slot_caches.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace mtp_rt::onnxruntime {
namespace {

constexpr int kLeastPlaces = 64;

}  // namespace

void SlotCache::reserve(const CacheShape& shape, int places, int filled) {
  if (places <= places_) return;
  SlotCache grown;
  grown.places_ = static_cast<int>(std::bit_ceil(static_cast<unsigned>(std::max(places, kLeastPlaces))));
  const auto matrices = static_cast<std::size_t>(2 * shape.layers);
  grown.memory_ = AlignedBuffer(matrices * grown.floats(shape) * sizeof(float));
  const auto heads = matrices * static_cast<std::size_t>(shape.kv_heads);
  const auto dim = static_cast<std::size_t>(shape.head_dim);
  for (std::size_t head = 0; head < heads; ++head) {
    const std::size_t from = head * static_cast<std::size_t>(places_) * dim;
    const std::size_t to = head * static_cast<std::size_t>(grown.places_) * dim;
    std::ranges::copy(memory_.as<float>().subspan(from, static_cast<std::size_t>(filled) * dim),
                      grown.memory_.as<float>().subspan(to).begin());
  }
  *this = std::move(grown);
}

void SlotCache::keep(const CacheShape& shape, int base, std::span<const std::int32_t> offsets) const {
  const auto heads = static_cast<std::size_t>(2 * shape.layers) * static_cast<std::size_t>(shape.kv_heads);
  const auto dim = static_cast<std::size_t>(shape.head_dim);
  for (std::size_t i = 0; i < offsets.size(); ++i) {
    const auto from = static_cast<std::size_t>(offsets[i]);
    if (from == i) continue;
    for (std::size_t head = 0; head < heads; ++head) {
      const std::size_t first = head * static_cast<std::size_t>(places_) + static_cast<std::size_t>(base);
      std::ranges::copy(memory_.as<float>().subspan((first + from) * dim, dim),
                        memory_.as<float>().subspan((first + i) * dim, dim).begin());
    }
  }
}

}  // namespace mtp_rt::onnxruntime
