// Keys and values of a slot, in memory that graphs read and write in place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "engines/onnxruntime/cache_memory.h"

namespace mtp_rt::onnxruntime {

struct CacheShape {
  int layers = 0;
  int kv_heads = 0;
  int head_dim = 0;
};

/// One slot's: per layer keys, then values, float32 [kv_heads, places, head_dim]. Free places hold finite
/// numbers.
class SlotCache {
 public:
  [[nodiscard]] int places() const noexcept { return places_; }

  /// Keys of `layer`, or its values.
  [[nodiscard]] float* matrix(const CacheShape& shape, int layer, bool values) const noexcept {
    const auto index = static_cast<std::size_t>(2 * layer + (values ? 1 : 0));
    return data_.get() + index * static_cast<std::size_t>(shape.kv_heads) *
                             static_cast<std::size_t>(places_) * static_cast<std::size_t>(shape.head_dim);
  }

  /// Makes room for `places`, to the next power of two: a run's time grows with them. The first `filled`
  /// stay. `memory` outlives what it holds.
  void reserve(CacheMemory& memory, const CacheShape& shape, int places, int filled);

  /// Moves the places at `offsets` behind `base`, ascending, to base, base + 1, ...
  void keep(CacheMemory& memory, const CacheShape& shape, int base,
            std::span<const std::int32_t> offsets) const;

  /// Gives the memory back.
  void clear() noexcept { *this = {}; }

 private:
  [[nodiscard]] CacheView view(const CacheShape& shape) const noexcept {
    return {data_.get(), 2 * shape.layers * shape.kv_heads, places_, shape.head_dim};
  }

  std::shared_ptr<float> data_;
  int places_ = 0;
};

}  // namespace mtp_rt::onnxruntime
