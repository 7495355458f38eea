#include "engines/native/kv_cache.h"

#include <algorithm>

namespace mtp_rt::native {

KvCache::KvCache(const ModelConfig& config, int slots, int positions)
    : layers_(static_cast<std::size_t>(config.layers)),
      kv_heads_(static_cast<std::size_t>(config.kv_heads)),
      head_dim_(static_cast<std::size_t>(config.head_dim)),
      blocks_(static_cast<std::size_t>((positions + kContextBlock - 1) / kContextBlock)),
      lengths_(static_cast<std::size_t>(slots), 0) {
  const std::size_t bytes = at(slots, 0, 0, 0) * sizeof(std::uint16_t);
  keys_ = AlignedBuffer(bytes);
  values_ = AlignedBuffer(bytes);
}

void KvCache::put_key(Slot slot, int layer, int kv_head, int index, int first,
                      const std::uint16_t* half) const noexcept {
  std::uint16_t* to = keys(slot, layer, kv_head, index) + first * std::ptrdiff_t{kLanes} + index % kLanes;
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
  for (int layer = 0; layer < static_cast<int>(layers_); ++layer) {
    for (int head = 0; head < static_cast<int>(kv_heads_); ++head) {
      const std::uint16_t* from_key = keys(slot, layer, head, from) + from % kLanes;
      std::uint16_t* to_key = keys(slot, layer, head, to) + to % kLanes;
      for (std::size_t d = 0; d < head_dim_; ++d) to_key[d * kLanes] = from_key[d * kLanes];
      std::copy_n(values(slot, layer, head, from), head_dim_, values(slot, layer, head, to));
    }
  }
}

}  // namespace mtp_rt::native
