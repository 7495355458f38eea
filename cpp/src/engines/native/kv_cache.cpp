#include "engines/native/kv_cache.h"

#include <algorithm>
#include <cstring>

namespace mtp_rt::native {
namespace {

constexpr std::size_t kWordStride = kLanes * sizeof(float);
constexpr std::size_t kKeyWordsQ8 = kKeyTileQ8 / kWordStride;  // 8 of codes, the scale

// A word of a key: in both kinds lanes are positions, so the words of one position are a stride apart.
std::byte* key_word(std::byte* keys, std::size_t words, int entry, std::size_t word) {
  const auto group = static_cast<std::size_t>(entry / kLanes);
  return keys + (group * words + word) * kWordStride + static_cast<std::size_t>(entry % kLanes) * 4;
}

// The code of dimension 0 of the panel; those of further dimensions follow 2 bytes apart.
std::byte* value_codes(std::byte* values, int panel, int entry) {
  const auto pair = static_cast<std::size_t>(entry / kUnit * kLanes + entry % kLanes);
  const auto second = static_cast<std::size_t>(entry % kUnit / kLanes);
  return values + static_cast<std::size_t>(panel) * kValuePanelQ8 + pair * kValuePairQ8 + second;
}

std::byte* value_scale(std::byte* values, int panel, int entry) {
  return values + static_cast<std::size_t>(panel) * kValuePanelQ8 + kValueScalesQ8 +
         static_cast<std::size_t>(entry) * sizeof(float);
}

std::size_t side_bytes(const KvShape& shape) {
  const auto panels = static_cast<std::size_t>(shape.head_dim / kUnit);
  return panels * (shape.kind == KvKind::q8 ? kValuePanelQ8 : kContextBlock * kUnit * sizeof(float));
}

}  // namespace

KvCache::KvCache(const KvShape& shape, int slots, int positions)
    : shape_(shape),
      panels_(shape.head_dim / kUnit),
      key_words_(static_cast<std::size_t>(panels_) * (shape.kind == KvKind::q8 ? kKeyWordsQ8 : kUnit)),
      block_bytes_(side_bytes(shape)),
      blocks_(static_cast<std::size_t>((positions + kContextBlock - 1) / kContextBlock)),
      lengths_(static_cast<std::size_t>(slots), 0) {
  memory_ = AlignedBuffer(static_cast<std::size_t>(slots) * blocks_ * static_cast<std::size_t>(shape.layers) *
                          static_cast<std::size_t>(shape.kv_heads) * 2 * block_bytes_);
}

KvBlock KvCache::block(const KvPlace& place) const noexcept {
  const auto block =
      static_cast<std::size_t>(place.slot) * blocks_ + static_cast<std::size_t>(place.index / kContextBlock);
  const auto plane =
      (block * static_cast<std::size_t>(shape_.layers) + static_cast<std::size_t>(place.layer)) *
          static_cast<std::size_t>(shape_.kv_heads) +
      static_cast<std::size_t>(place.kv_head);
  std::byte* const keys = memory_.data() + plane * 2 * block_bytes_;
  return {keys, keys + block_bytes_};
}

void KvCache::put(KvSide side, const KvPlace& place, int panel, const float* values) const noexcept {
  const KvBlock to = block(place);
  const int entry = place.index % kContextBlock;
  if (side == KvSide::value) {
    std::copy_n(values, kUnit, reinterpret_cast<float*>(to.values) + (entry * panels_ + panel) * kUnit);
    return;
  }
  const auto first = static_cast<std::size_t>(panel) * kUnit;
  for (std::size_t i = 0; i < kUnit; ++i)
    std::memcpy(key_word(to.keys, key_words_, entry, first + i), values + i, 4);
}

void KvCache::put(KvSide side, const KvPlace& place, int panel, const std::int8_t* codes,
                  float scale) const noexcept {
  const KvBlock to = block(place);
  const int entry = place.index % kContextBlock;
  if (side == KvSide::value) {
    std::byte* at = value_codes(to.values, panel, entry);
    for (int i = 0; i < kUnit; ++i) at[2 * i] = static_cast<std::byte>(codes[i]);
    std::memcpy(value_scale(to.values, panel, entry), &scale, 4);
    return;
  }
  const auto first = static_cast<std::size_t>(panel) * kKeyWordsQ8;
  for (std::size_t i = 0; i + 1 < kKeyWordsQ8; ++i) {
    std::uint32_t word = 0;
    std::memcpy(&word, codes + 4 * i, 4);
    word ^= 0x80808080U;  // adds 128 to every byte
    std::memcpy(key_word(to.keys, key_words_, entry, first + i), &word, 4);
  }
  std::memcpy(key_word(to.keys, key_words_, entry, first + kKeyWordsQ8 - 1), &scale, 4);
}

void KvCache::copy_entry(const KvBlock& source, int from, const KvBlock& target, int to) const noexcept {
  for (std::size_t word = 0; word < key_words_; ++word) {
    std::memcpy(key_word(target.keys, key_words_, to, word), key_word(source.keys, key_words_, from, word),
                4);
  }
  if (shape_.kind == KvKind::f32) {
    const std::size_t bytes = static_cast<std::size_t>(shape_.head_dim) * sizeof(float);
    std::memcpy(target.values + static_cast<std::size_t>(to) * bytes,
                source.values + static_cast<std::size_t>(from) * bytes, bytes);
    return;
  }
  for (int panel = 0; panel < panels_; ++panel) {
    const std::byte* read = value_codes(source.values, panel, from);
    std::byte* write = value_codes(target.values, panel, to);
    for (int i = 0; i < kUnit; ++i) write[2 * i] = read[2 * i];
    std::memcpy(value_scale(target.values, panel, to), value_scale(source.values, panel, from), 4);
  }
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
  for (int layer = 0; layer < shape_.layers; ++layer) {
    for (int head = 0; head < shape_.kv_heads; ++head) {
      copy_entry(block({slot, layer, head, from}), from % kContextBlock, block({slot, layer, head, to}),
                 to % kContextBlock);
    }
  }
}

}  // namespace mtp_rt::native
