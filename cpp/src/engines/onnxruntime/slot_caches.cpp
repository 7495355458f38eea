#include "engines/onnxruntime/slot_caches.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace mtp_rt::onnxruntime {
namespace {

constexpr int kLeastPlaces = 64;

}  // namespace

void SlotCache::reserve(CacheMemory& memory, const CacheShape& shape, int places, int filled) {
  if (places <= places_) return;
  SlotCache grown;
  grown.places_ = static_cast<int>(std::bit_ceil(static_cast<unsigned>(std::max(places, kLeastPlaces))));
  grown.data_ = memory.make_zeros(grown.view(shape));
  if (filled > 0) memory.copy(view(shape), filled, grown.view(shape));
  *this = std::move(grown);
}

void SlotCache::keep(CacheMemory& memory, const CacheShape& shape, int base,
                     std::span<const std::int32_t> offsets) const {
  if (shape.layers > 0) memory.keep(view(shape), base, offsets);
}

}  // namespace mtp_rt::onnxruntime
