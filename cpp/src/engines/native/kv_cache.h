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

/// For each slot, layer and KV head: keys as groups of 16 positions [group, head_dim, 16], so that 16 scores
/// are one multiply-add a dimension, and values [position, head_dim]. The rows of a verify call stand behind
/// the committed positions, in call order; keep() closes the gaps that rejected rows leave.
class KvCache {
 public:
  KvCache(const ModelConfig& config, int slots, int positions);

  [[nodiscard]] std::uint16_t* keys(Slot slot, int layer, int kv_head) const noexcept {
    return keys_.as<std::uint16_t>().data() + plane(slot, layer, kv_head);
  }
  [[nodiscard]] std::uint16_t* values(Slot slot, int layer, int kv_head) const noexcept {
    return values_.as<std::uint16_t>().data() + plane(slot, layer, kv_head);
  }

  /// Distance between two keys of a group's dimension i and i + 1, and between two positions' values.
  [[nodiscard]] int head_dim() const noexcept { return head_dim_; }

  /// Writes dimensions `first` .. + 31 of the key at `index`.
  void put_key(std::uint16_t* keys, int index, int first, const std::uint16_t* half) const noexcept;

  [[nodiscard]] std::int32_t length(Slot slot) const noexcept {
    return lengths_[static_cast<std::size_t>(slot)];
  }

  /// Commits the rows at `offsets` behind the committed positions, ascending.
  void keep(Slot slot, std::span<const std::int32_t> offsets) noexcept;
  void clear(Slot slot) noexcept { lengths_[static_cast<std::size_t>(slot)] = 0; }

 private:
  [[nodiscard]] std::size_t plane(Slot slot, int layer, int kv_head) const noexcept {
    const auto index = (static_cast<std::size_t>(slot) * static_cast<std::size_t>(layers_) +
                        static_cast<std::size_t>(layer)) *
                           static_cast<std::size_t>(kv_heads_) +
                       static_cast<std::size_t>(kv_head);
    return index * static_cast<std::size_t>(positions_) * static_cast<std::size_t>(head_dim_);
  }
  void move(Slot slot, int from, int to) noexcept;

  int layers_;
  int kv_heads_;
  int head_dim_;
  int positions_;  // a multiple of 16
  AlignedBuffer keys_;
  AlignedBuffer values_;
  std::vector<std::int32_t> lengths_;
};

}  // namespace mtp_rt::native
