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

inline constexpr int kContextBlock = 128;  // positions that stand together, and whose attention is one sum
inline constexpr int kMaxHeadDim = 512;
inline constexpr int kMaxPanels = kMaxHeadDim / kUnit;  // of 32 dimensions

/// 32 dimensions of a query against 8-bit keys.
struct QueryBlock {
  float scale;
  std::int32_t offset;  // -128 * sum(codes): stored keys are codes + 128
  std::int8_t codes[kUnit];
};

/// How one KV head's keys and values of a context block are stored. Lanes are positions of a group of 16
/// where keys are read, dimensions where values are.
///
/// f32: keys [group, dimension, 16], values [position, dimension].
/// q8: codes with a scale per position and 32 dimensions. Keys [group, panel] of: bytes code + 128 of 8 x 4
/// dimensions [8, 16, 4], f32 scales [16]. Values [panel] of: codes of 64 pairs of positions [pair, 32, 2],
/// f32 scales [128]; a pair is positions i and i + 16 of 32.
inline constexpr int kKeyTileQ8 = 576;
inline constexpr int kValuePanelQ8 = 4608;
inline constexpr int kValuePairQ8 = 64;
inline constexpr int kValueScalesQ8 = 4096;

/// Queries of one KV head and the context block that they look at.
struct BlockAttention {
  const std::byte* keys;
  const std::byte* values;
  const std::byte* next_keys;  // of the block that this thread attends to next: fetched meanwhile
  const std::byte* next_values;
  int panels;  // head_dim / 32
  int queries;
  const std::byte* const* query;  // [queries] head_dim floats (f32) or a QueryBlock per panel (q8)
  const int* counts;              // [queries] positions attended to: the first 1 .. 128
  float* const* partials;         // [queries] out: max, sum, 14 unused, weighted values [head_dim]
};

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

  /// Hadamard transform of 32 values, orthonormal: values [rows, 32]. Dot products stay what they are, and a
  /// few large dimensions no longer cost the others their bits.
  void (*mix)(float* values, int rows);

  /// Attention within a block: scores are powers of 2, the max is subtracted and kept. The sum over positions
  /// runs in their order (f32) or is an exact integer (q8: weights as 15 bits of the row's greatest).
  void (*attend_f32)(const BlockAttention& block);
  void (*attend_q8)(const BlockAttention& block);

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
