// Keys and values of every slot, in half precision.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/aligned_buffer.h"
#include "engines/native/kernels/kernel_table.h"
#include "mtp_rt/model_config.h"
#include "mtp_rt/token.h"

namespace mtp_rt::native {

inline constexpr int kContextBlock = 128;  // positions that stand together, and whose attention is one sum

/// Blocks of 128 positions; within a block, for each layer and KV head, keys as groups of 16 positions
/// [group, head_dim, 16], so that 16 scores are one multiply-add a dimension, and values [position,
/// head_dim]. A slot takes memory for the blocks it has used. The rows of a verify call stand behind the
/// committed positions, in call order; keep() closes the gaps that rejected rows leave.
class KvCache {
 public:
  KvCache(const ModelConfig& config, int slots, int positions);

  /// Dimension 0 of the group of 16 keys that holds entry `index`, and of the value of entry `index`.
  [[nodiscard]] std::uint16_t* keys(Slot slot, int layer, int kv_head, int index) const noexcept {
    return keys_.as<std::uint16_t>().data() + at(slot, layer, kv_head, index / kLanes * kLanes);
  }
  [[nodiscard]] std::uint16_t* values(Slot slot, int layer, int kv_head, int index) const noexcept {
    return values_.as<std::uint16_t>().data() + at(slot, layer, kv_head, index);
  }

  /// Writes dimensions `first` .. + 31 of the key of entry `index`.
  void put_key(Slot slot, int layer, int kv_head, int index, int first,
               const std::uint16_t* half) const noexcept;

  [[nodiscard]] std::int32_t length(Slot slot) const noexcept {
    return lengths_[static_cast<std::size_t>(slot)];
  }

  /// Commits the rows at `offsets` behind the committed positions, ascending.
  void keep(Slot slot, std::span<const std::int32_t> offsets) noexcept;
  void clear(Slot slot) noexcept { lengths_[static_cast<std::size_t>(slot)] = 0; }

 private:
  [[nodiscard]] std::size_t at(Slot slot, int layer, int kv_head, int index) const noexcept {
    const auto block =
        static_cast<std::size_t>(slot) * blocks_ + static_cast<std::size_t>(index / kContextBlock);
    const auto plane =
        (block * layers_ + static_cast<std::size_t>(layer)) * kv_heads_ + static_cast<std::size_t>(kv_head);
    return (plane * kContextBlock + static_cast<std::size_t>(index % kContextBlock)) * head_dim_;
  }
  void move(Slot slot, int from, int to) noexcept;

  std::size_t layers_;
  std::size_t kv_heads_;
  std::size_t head_dim_;
  std::size_t blocks_;  // per slot
  AlignedBuffer keys_;
  AlignedBuffer values_;
  std::vector<std::int32_t> lengths_;
};

}  // namespace mtp_rt::native
