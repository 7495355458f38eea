// The native engine's kernels, behind one table per instruction set.
//
// A row's result depends on that row's input and the weights alone: sums run in one fixed order, so every
// table gives the same bits, whichever rows are computed together.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mtp_rt::native {

inline constexpr int kLanes = 16;  // outputs computed side by side: one group
inline constexpr int kUnit = 32;   // outputs of one call of a dot kernel: two groups, one quantisation block
inline constexpr int kBlock = 32;  // inputs that share a scale
inline constexpr int kPanel = 8;   // rows whose activations stand together
inline constexpr int kTileQ4 = 320;  // bytes of 16 outputs x 32 inputs: nibbles, 16 f16 scales, 16 f16 minima
inline constexpr int kTileHigh = 288;  // q8, upper four bits: nibbles, 16 f16 scales
inline constexpr int kTileLow = 256;   // q8, lower four bits: nibbles
inline constexpr int kTileBf16 = 1024;
inline constexpr int kTileF32 = 2048;

/// The input rows of a matrix product, in panels of 8 rows: element (row, block) of an array with n entries
/// per row and block stands at ((row / 8 * blocks + block) * 8 + row % 8) * n.
struct Activations {
  std::int8_t* quantized;  // n = 32: round(x / scale), for quantised weights
  float* scale;            // n = 1: max |x| / 127
  float* scaled_sum;       // n = 1: scale * sum(quantized)
  std::int32_t* offset;    // n = 1: -128 * sum(quantized)
  float* values;           // n = 32: x itself, for f32 and bf16 weights
  int blocks;              // inputs / 32
};

/// The weights of one unit: for each of its two groups, `blocks` tiles, `stride` bytes apart.
struct UnitTiles {
  const std::uint8_t* tiles;
  std::size_t stride;
  const std::uint8_t* low;  // q8 only: the lower four bits
  std::size_t low_stride;
};

/// Half-precision numbers [n, columns, 16]: entry (i, c, lane) stands at data + i * stride + c *
/// column_stride + lane.
struct HalfMatrix {
  const std::uint16_t* data;
  std::size_t stride;
  std::size_t column_stride;
  int columns;
  int n;
};

/// Floats between the coefficients of two queries: a constant, so that one register addresses all of them; no
/// power of two, so that they do not share cache sets.
inline constexpr std::size_t kCoefficientStride = 528;
inline constexpr int kMaxHeadDim = 512;  // a query is a row of coefficients

/// out[i, 32] = row_scale[row] * (weights of the unit) x (activations of the row), row = first_row + i, i <
/// rows.
using DotKernel = void (*)(const UnitTiles& unit, const Activations& input, const float* row_scale,
                           int first_row, int rows, float* out);

struct KernelTable {
  const char* name;

  DotKernel dot_q4;
  DotKernel dot_q8;
  DotKernel dot_q8_coarse;  // reads the upper four bits only and takes 7.5 for the lower
  DotKernel dot_bf16;
  DotKernel dot_f32;

  /// Quantises block `block` of every row: `values` [rows, 32].
  void (*quantize)(const float* values, int rows, int block, const Activations& out);

  /// residual [rows, stride] += values; squares[row * squares_stride] = sum of the new residual's squares
  /// over the 32 columns; values = residual * gain. `values` [rows, 32]; residual, gain and squares point at
  /// the unit's columns.
  void (*add_residual)(float* values, int rows, const float* gain, float* residual, std::size_t stride,
                       float* squares, std::size_t squares_stride);

  /// gate = silu(gate) * up, both [rows, 32].
  void (*swiglu)(float* gate, const float* up, int rows);

  /// Rotates pairs (2i, 2i + 1) and scales: values [rows, 32]; cosines and signed sines [rows, stride] at the
  /// unit's first dimension.
  void (*rotate)(float* values, int rows, const float* cosines, const float* sines, std::size_t stride,
                 float scale);

  /// 32 floats to IEEE half precision, ties to even, clamped to the finite range.
  void (*to_half)(const float* values, std::uint16_t* out);

  /// out[q * out_stride + 16 c + lane] += sum over i < n of coefficients[q * kCoefficientStride + i] *
  /// matrix[i, c, lane], in the order of i.
  void (*half_dot)(const HalfMatrix& matrix, const float* coefficients, int queries, float* out,
                   std::size_t out_stride);

  /// scores[i] = exp(scores[i] - max) for i < n, 0 up to the next multiple of 16. Returns max and the sum.
  void (*softmax)(float* scores, int n, float* max, float* sum);

  /// Folds attention over context blocks, in order. Partial b stands at partials + b * stride: max, sum, 14
  /// unused, the weighted values. out[0 .. 31] = the attention's result in dimensions `first` .. `first`
  /// + 31.
  void (*fold)(const float* partials, int blocks, std::size_t stride, int first, float* out);

  /// out[row * stride + i] = values[row, i] for i < 32; maxima[row] = the greatest of them.
  void (*store_scores)(const float* values, int rows, float* out, std::size_t stride, float* maxima);
};

extern const KernelTable kernels_generic;
extern const KernelTable kernels_avx2;
extern const KernelTable kernels_avx512_vnni;

}  // namespace mtp_rt::native
