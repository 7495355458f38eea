// Matrix products of one unit: 32 outputs of every row, one pass over the unit's weights.
//
// Lanes are outputs; each output's sum runs over the blocks in order. Integer products within a block are
// exact.

constexpr std::size_t kAhead = 8192;  // bytes between the tile in use and the one asked for

/// Distance from a row's activations of one block to those of the next, in rows.
constexpr std::size_t kBlockRows = kPanel;

/// Row `row` of `x` and those after it in its panel, as row 0 on.
inline Activations rows_from(const Activations& x, int row) {
  const std::size_t first =
      static_cast<std::size_t>(row / kPanel) * static_cast<std::size_t>(x.blocks) * kPanel +
      static_cast<std::size_t>(row % kPanel);
  return {x.quantized + first * kBlock, x.scale + first, x.scaled_sum + first, x.offset + first,
          x.values + first * kBlock,    x.blocks};
}

// The hardware looks ahead too, but not far enough: neither for many rows, which compute for longer, nor for
// one row of weights that the last-level cache holds, as those of extra heads.
inline void ask_ahead(const std::uint8_t* tile, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; i += 64) __builtin_prefetch(tile + kAhead + i, 0, 2);
}

/// The sums of nibbles of one tile times the activations of kRows rows, exact.
template <int kRows>
inline void dot_nibbles(const std::uint8_t* tile, const std::int8_t* x, NibbleSums (&sums)[kRows]) {
  for (int r = 0; r < kRows; ++r) sums[r] = no_nibbles();
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    const Nibbles w = load_nibbles(tile + 64 * j);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const std::int8_t* q = x + r * kBlock + 4 * j;
      sums[r] = dot_high(dot_low(sums[r], w, q), w, q + 16);
    }
  }
}

/// The same for bytes in two planes of nibbles.
template <int kRows>
inline void dot_bytes(const std::uint8_t* upper_tile, const std::uint8_t* lower_tile, const std::int8_t* x,
                      ByteSums (&sums)[kRows]) {
  for (int r = 0; r < kRows; ++r) sums[r] = no_bytes();
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    const Nibbles upper = load_nibbles(upper_tile + 64 * j);
    const Nibbles lower = load_nibbles(lower_tile + 64 * j);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const std::int8_t* q = x + r * kBlock + 4 * j;
      sums[r] = dot_high(dot_low(sums[r], upper, lower, q), upper, lower, q + 16);
    }
  }
}

struct DotQ4 {
  template <int kRows>
  static void group(const UnitTiles& unit, const std::uint8_t* tile, const std::uint8_t*,
                    const Activations& x, Lanes (&acc)[kRows]) {
    for (int b = 0; b < x.blocks; ++b, tile += unit.stride) {
      ask_ahead(tile, kTileQ4);
      const std::size_t at = static_cast<std::size_t>(b) * kBlockRows;
      NibbleSums sums[kRows];
      dot_nibbles(tile, x.quantized + at * kBlock, sums);
      const auto* parameters = reinterpret_cast<const std::uint16_t*>(tile + 256);
      const Lanes scale = load_half(parameters);
      const Lanes minimum = load_half(parameters + 16);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        acc[r] = fma(to_float(total(sums[r])), mul(scale, all(x.scale[at + r])), acc[r]);
        acc[r] = fma(minimum, all(x.scaled_sum[at + r]), acc[r]);
      }
    }
  }
};

struct DotQ8 {
  template <int kRows>
  static void group(const UnitTiles& unit, const std::uint8_t* tile, const std::uint8_t* low_tile,
                    const Activations& x, Lanes (&acc)[kRows]) {
    for (int b = 0; b < x.blocks; ++b, tile += unit.stride, low_tile += unit.low_stride) {
      ask_ahead(tile, kTileHigh);
      ask_ahead(low_tile, kTileLow);
      const std::size_t at = static_cast<std::size_t>(b) * kBlockRows;
      ByteSums sums[kRows];
      dot_bytes(tile, low_tile, x.quantized + at * kBlock, sums);
      const Lanes scale = load_half(reinterpret_cast<const std::uint16_t*>(tile + 256));
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const Lanes product = to_float(add(total(sums[r]), all_int(x.offset[at + r])));
        acc[r] = fma(product, mul(scale, all(x.scale[at + r])), acc[r]);
      }
    }
  }
};

// w = 16 * upper + 7.5 - 128: the lower four bits at their middle.
struct DotQ8Coarse {
  template <int kRows>
  static void group(const UnitTiles& unit, const std::uint8_t* tile, const std::uint8_t*,
                    const Activations& x, Lanes (&acc)[kRows]) {
    for (int b = 0; b < x.blocks; ++b, tile += unit.stride) {
      ask_ahead(tile, kTileHigh);
      const std::size_t at = static_cast<std::size_t>(b) * kBlockRows;
      NibbleSums sums[kRows];
      dot_nibbles(tile, x.quantized + at * kBlock, sums);
      const Lanes scale = load_half(reinterpret_cast<const std::uint16_t*>(tile + 256));
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const Lanes middle = all(static_cast<float>(x.offset[at + r]) * (120.5F / 128.0F));
        const Lanes product = fma(to_float(total(sums[r])), all(16.0F), middle);
        acc[r] = fma(product, mul(scale, all(x.scale[at + r])), acc[r]);
      }
    }
  }
};

// Four partial sums by input modulo 4 hide the latency of a multiply-add.
template <typename Load>
struct DotFloat {
  template <int kRows>
  static void group(const UnitTiles& unit, const std::uint8_t* tile, const std::uint8_t*,
                    const Activations& x, Lanes (&acc)[kRows]) {
    for (int r = 0; r < kRows; ++r) {
      Lanes part[4] = {zero(), zero(), zero(), zero()};
      for (int b = 0; b < x.blocks; ++b) {
        const std::uint8_t* weights = tile + static_cast<std::size_t>(b) * unit.stride;
        if (r == 0) ask_ahead(weights, unit.stride);
        const float* values = x.values + (static_cast<std::size_t>(b) * kBlockRows + r) * kBlock;
        for (int i = 0; i < kBlock; ++i)
          part[i % 4] = fma(Load::lanes(weights, i), all(values[i]), part[i % 4]);
      }
      acc[r] = add(add(part[0], part[1]), add(part[2], part[3]));
    }
  }
};

struct LoadF32 {
  static Lanes lanes(const std::uint8_t* tile, int i) {
    return load(reinterpret_cast<const float*>(tile) + i * kLanes);
  }
};
struct LoadBf16 {
  static Lanes lanes(const std::uint8_t* tile, int i) {
    return load_bf16(reinterpret_cast<const std::uint16_t*>(tile) + i * kLanes);
  }
};

template <typename Dot, int kRows>
void dot_rows(const UnitTiles& unit, const std::uint8_t* tile, const std::uint8_t* low,
              const Activations& input, const float* row_scale, int row, float* out) {
  Lanes acc[kRows];
  for (int r = 0; r < kRows; ++r) acc[r] = zero();
  Dot::template group<kRows>(unit, tile, low, rows_from(input, row), acc);
  for (int r = 0; r < kRows; ++r) store(mul(acc[r], all(row_scale[row + r])), out + r * kUnit);
}

/// Runs dot_rows for the largest compiled row count not above `count`; returns it.
template <typename Dot, int kRows>
int dot_some(int count, const UnitTiles& unit, const std::uint8_t* tile, const std::uint8_t* low,
             const Activations& input, const float* row_scale, int row, float* out) {
  if constexpr (kRows > 1) {
    if (count < kRows) return dot_some<Dot, kRows - 1>(count, unit, tile, low, input, row_scale, row, out);
  }
  dot_rows<Dot, kRows>(unit, tile, low, input, row_scale, row, out);
  return kRows;
}

template <typename Dot>
void dot_unit(const UnitTiles& unit, const Activations& input, const float* row_scale, int first_row,
              int rows, float* out) {
  const int end = first_row + rows;
  for (int g = 0; g < kUnit / kLanes; ++g) {
    const std::size_t tiles = static_cast<std::size_t>(g) * static_cast<std::size_t>(input.blocks);
    const std::uint8_t* tile = unit.tiles + tiles * unit.stride;
    const std::uint8_t* low = unit.low == nullptr ? nullptr : unit.low + tiles * unit.low_stride;
    for (int row = first_row; row < end;) {
      const int left_in_panel = kPanel - row % kPanel;
      const int left = end - row < left_in_panel ? end - row : left_in_panel;
      float* to = out + static_cast<std::size_t>(row - first_row) * kUnit + g * kLanes;
      row += dot_some<Dot, kRowsAtOnce>(left, unit, tile, low, input, row_scale, row, to);
    }
  }
}
