#include "engines/native/tiles.h"

#include <bit>
#include <cstring>

namespace mtp_rt::native {
namespace {

std::uint8_t* writable(const std::uint8_t* p) { return const_cast<std::uint8_t*>(p); }

template <typename T>
T read(const std::byte* p) {
  T x;
  std::memcpy(&x, p, sizeof(T));
  return x;
}

// Four nibbles of x to the low halves of four bytes.
std::uint32_t spread(std::uint32_t x) {
  x = (x | (x << 8)) & 0x00FF00FFU;
  return (x | (x << 4)) & 0x0F0F0F0FU;
}

// The 32 nibbles of one row and block, as stored (element 2j low, 2j + 1 high), into lane `lane` of a tile:
// byte b of the lane in register j holds element 4j + b low and 16 + 4j + b high.
void put_nibbles(const std::uint8_t* nibbles, int lane, std::uint8_t* tile) {
  for (int j = 0; j < 4; ++j) {
    std::uint16_t first = 0;
    std::uint16_t second = 0;
    std::memcpy(&first, nibbles + 2 * j, 2);
    std::memcpy(&second, nibbles + 8 + 2 * j, 2);
    const std::uint32_t bytes = spread(first) | (spread(second) << 4);
    std::memcpy(tile + 64 * j + 4 * lane, &bytes, 4);
  }
}

int nibble_at(const std::uint8_t* tile, int lane, int element) {
  const int byte = tile[64 * (element % 16 / 4) + 4 * lane + element % 4];
  return element < 16 ? byte & 15 : byte >> 4;
}

void put_half(const TensorView& parameters, std::int64_t index, int lane, std::uint8_t* to) {
  std::memcpy(to + 2 * lane, parameters.bytes.data() + 2 * index, 2);
}

float half_at(const std::uint8_t* from, int lane) {
  std::uint16_t h = 0;
  std::memcpy(&h, from + 2 * lane, 2);
  const std::uint32_t sign = (h & 0x8000U) << 16;
  const std::uint32_t magnitude = h & 0x7FFFU;
  if (magnitude < 0x0400U) {
    const float subnormal = static_cast<float>(magnitude) * 0x1p-24F;
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(subnormal));
  }
  return std::bit_cast<float>(sign | ((magnitude << 13) + (112U << 23)));
}

void pack_q4(const WeightView& w, std::int64_t row, int block, int lane, std::uint8_t* tile) {
  const std::int64_t index = row * (w.cols / kBlock) + block;
  put_nibbles(reinterpret_cast<const std::uint8_t*>(w.data.bytes.data()) + index * 16, lane, tile);
  put_half(w.scale, index, lane, tile + 256);
  put_half(w.min, index, lane, tile + 288);
}

void pack_q8(const WeightView& w, std::int64_t row, int block, int lane, std::uint8_t* upper,
             std::uint8_t* lower) {
  const std::int64_t index = row * (w.cols / kBlock) + block;
  const auto* values = reinterpret_cast<const std::uint8_t*>(w.data.bytes.data()) + index * kBlock;
  std::uint8_t high[16];
  std::uint8_t low[16];
  for (int i = 0; i < 16; ++i) {  // q + 128 is q with its top bit flipped
    const auto even = static_cast<std::uint8_t>(values[2 * i] ^ 0x80U);
    const auto odd = static_cast<std::uint8_t>(values[2 * i + 1] ^ 0x80U);
    high[i] = static_cast<std::uint8_t>((even >> 4) | (odd & 0xF0U));
    low[i] = static_cast<std::uint8_t>((even & 0x0FU) | (odd << 4));
  }
  put_nibbles(high, lane, upper);
  put_nibbles(low, lane, lower);
  put_half(w.scale, index, lane, upper + 256);
}

template <typename T>
void pack_float(const WeightView& w, std::int64_t row, int block, int lane, std::uint8_t* tile) {
  const std::byte* source =
      w.data.bytes.data() + (row * w.cols + block * kBlock) * static_cast<std::int64_t>(sizeof(T));
  for (std::size_t i = 0; i < kBlock; ++i) {
    std::memcpy(tile + (i * kLanes + static_cast<std::size_t>(lane)) * sizeof(T), source + i * sizeof(T),
                sizeof(T));
  }
}

void pack_lane(const WeightView& w, std::int64_t row, int block, int lane, std::uint8_t* tile,
               std::uint8_t* low) {
  switch (w.quant) {
    case Quant::q4:
      return pack_q4(w, row, block, lane, tile);
    case Quant::q8:
      return pack_q8(w, row, block, lane, tile, low);
    case Quant::bf16:
      return pack_float<std::uint16_t>(w, row, block, lane, tile);
    case Quant::f32:
      return pack_float<std::uint32_t>(w, row, block, lane, tile);
  }
}

}  // namespace

std::size_t tile_bytes(Quant quant) noexcept {
  switch (quant) {
    case Quant::q4:
      return kTileQ4;
    case Quant::q8:
      return kTileHigh + kTileLow;
    case Quant::bf16:
      return kTileBf16;
    case Quant::f32:
      return kTileF32;
  }
  return 0;
}

void pack_unit(const WeightView& weight, const UnitRows& rows, const UnitTiles& tiles) {
  const auto blocks = static_cast<int>(weight.cols / kBlock);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i] < 0) continue;  // the buffer is zero
    const auto lane = static_cast<int>(i) % kLanes;
    for (int b = 0; b < blocks; ++b) {
      const std::size_t tile = i / kLanes * static_cast<std::size_t>(blocks) + static_cast<std::size_t>(b);
      std::uint8_t* low = tiles.low == nullptr ? nullptr : writable(tiles.low) + tile * tiles.low_stride;
      pack_lane(weight, rows[i], b, lane, writable(tiles.tiles) + tile * tiles.stride, low);
    }
  }
}

void unpack_block(const UnitTiles& tiles, Quant quant, int blocks, int row, int block, float* out) {
  const int lane = row % kLanes;
  const auto index = static_cast<std::size_t>(row / kLanes * blocks + block);
  const std::uint8_t* tile = tiles.tiles + index * tiles.stride;
  for (int i = 0; i < kBlock; ++i) {
    const auto at = static_cast<std::size_t>(i * kLanes + lane);
    switch (quant) {
      case Quant::q4:
        out[i] = half_at(tile + 256, lane) * static_cast<float>(nibble_at(tile, lane, i)) +
                 half_at(tile + 288, lane);
        break;
      case Quant::q8: {
        const std::uint8_t* low = tiles.low + index * tiles.low_stride;
        const int q = nibble_at(tile, lane, i) * 16 + nibble_at(low, lane, i) - 128;
        out[i] = half_at(tile + 256, lane) * static_cast<float>(q);
        break;
      }
      case Quant::bf16:
        out[i] = std::bit_cast<float>(
            static_cast<std::uint32_t>(read<std::uint16_t>(reinterpret_cast<const std::byte*>(tile + at * 2)))
            << 16);
        break;
      case Quant::f32:
        out[i] = read<float>(reinterpret_cast<const std::byte*>(tile + at * 4));
        break;
    }
  }
}

}  // namespace mtp_rt::native
