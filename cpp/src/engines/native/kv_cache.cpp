#include "engines/native/kv_cache.h"

#include <algorithm>

namespace mtp_rt::native {

KvCache::KvCache(const ModelConfig& config, int slots, int positions)
    : layers_(config.layers),
      kv_heads_(config.kv_heads),
      head_dim_(config.head_dim),
      positions_((positions + kLanes - 1) / kLanes * kLanes),
      lengths_(static_cast<std::size_t>(slots), 0) {
  const std::size_t bytes = plane(slots, 0, 0) * sizeof(std::uint16_t);
  keys_ = AlignedBuffer(bytes);
  values_ = AlignedBuffer(bytes);
}

void KvCache::put_key(std::uint16_t* keys, int index, int first, const std::uint16_t* half) const noexcept {
  std::uint16_t* to = keys +
                      (static_cast<std::size_t>(index / kLanes) * static_cast<std::size_t>(head_dim_) +
                       static_cast<std::size_t>(first)) *
                          kLanes +
                      index % kLanes;
  for (int i = 0; i < kUnit; ++i) to[i * kLanes] = half[i];
}

void KvCache::keep(Slot slot, std::span<const std::int32_t> offsets) noexcept {
  std::int32_t& length = lengths_[static_cast<std::size_t>(slot)];
  for (std::size_t i = 0; i < offsets.size(); ++i) {
    const auto to = static_cast<std::int32_t>(i);
    if (offsets[i] != to) move(slot, length + offsets[i], length + to);
  }
  length += static_cast<std::int32_t>(offsets.size());
}

void KvCache::move(Slot slot, int from, int to) noexcept {
  const auto at = [this](int index) {
    return static_cast<std::size_t>(index / kLanes) * static_cast<std::size_t>(head_dim_) * kLanes +
           static_cast<std::size_t>(index % kLanes);
  };
  for (int layer = 0; layer < layers_; ++layer) {
    for (int head = 0; head < kv_heads_; ++head) {
      std::uint16_t* k = keys(slot, layer, head);
      for (std::size_t d = 0; d < static_cast<std::size_t>(head_dim_); ++d)
        k[at(to) + d * kLanes] = k[at(from) + d * kLanes];
      std::uint16_t* v = values(slot, layer, head);
      std::copy_n(v + from * std::ptrdiff_t{head_dim_}, head_dim_, v + to * std::ptrdiff_t{head_dim_});
    }
  }
}

}  // namespace mtp_rt::native
