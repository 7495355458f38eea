// Keys and values of every slot.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/aligned_buffer.h"
#include "engines/native/kernels/kernel_table.h"
#include "mtp_rt/token.h"

namespace mtp_rt::native {

/// How elements are stored: as f32, or as 8-bit codes with a scale per position and 32 dimensions.
enum class KvKind { f32, q8 };

enum class KvSide { key, value };

struct KvShape {
  KvKind kind = KvKind::q8;
  int layers = 0;
  int kv_heads = 0;
  int head_dim = 0;  // a multiple of 32
};

/// The keys and values of one KV head in one context block, laid out as kernel_table.h says.
struct KvBlock {
  std::byte* keys;
  std::byte* values;
};

/// Where one KV head's key and value of an entry stand.
struct KvPlace {
  Slot slot = 0;
  int layer = 0;
  int kv_head = 0;
  int index = 0;
};

/// Blocks of 128 positions, which take memory when they are first written. The rows of a verify call stand
/// behind the committed positions, in call order; keep() closes the gaps that rejected rows leave.
class KvCache {
 public:
  KvCache(const KvShape& shape, int slots, int positions);

  [[nodiscard]] const KvShape& shape() const noexcept { return shape_; }

  /// Bytes of the keys of a block; the values have as many.
  [[nodiscard]] std::size_t block_bytes() const noexcept { return block_bytes_; }
  /// The block that holds entry `index` of the place.
  [[nodiscard]] KvBlock block(const KvPlace& place) const noexcept;

  /// Writes dimensions 32 * panel .. + 31 of a key or value to an f32 cache.
  void put(KvSide side, const KvPlace& place, int panel, const float* values) const noexcept;
  /// The same to a q8 cache: 32 codes times `scale`.
  void put(KvSide side, const KvPlace& place, int panel, const std::int8_t* codes,
           float scale) const noexcept;

  /// Copies entry `from` of a block to entry `to` of another; both count from the block's first position.
  void copy_entry(const KvBlock& source, int from, const KvBlock& target, int to) const noexcept;

  [[nodiscard]] std::int32_t length(Slot slot) const noexcept {
    return lengths_[static_cast<std::size_t>(slot)];
  }

  /// Commits the rows at `offsets` behind the committed positions, ascending.
  void keep(Slot slot, std::span<const std::int32_t> offsets) noexcept;
  void clear(Slot slot) noexcept { lengths_[static_cast<std::size_t>(slot)] = 0; }

 private:
  void move(Slot slot, int from, int to) noexcept;

  KvShape shape_;
  int panels_;
  std::size_t key_words_;    // 4-byte words of a key, 64 bytes apart
  std::size_t block_bytes_;  // of one KV head, one side
  std::size_t blocks_;       // per slot
  AlignedBuffer memory_;     // [slots, blocks_, layers, kv_heads] keys of a block, then its values
  std::vector<std::int32_t> lengths_;
};

}  // namespace mtp_rt::native
