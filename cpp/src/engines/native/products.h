// Matrix products as units of packed weights, shared out among threads.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engines/native/kernels/kernel_table.h"
#include "mtp_rt/model_dir.h"

namespace mtp_rt::native {

/// 32 outputs of a matrix product.
struct Unit {
  UnitTiles tiles;
  DotKernel dot = nullptr;
  Quant quant = Quant::f32;
  int index = 0;  // outputs 32 * index .. 32 * index + 31
};

/// One matrix product, or several over the same input run as one. Thread t computes units[t], in order.
struct Product {
  int blocks = 0;  // inputs / 32
  bool takes_quantized = false;
  bool takes_values = false;
  std::vector<std::vector<Unit>> units;
};

/// The products of a transformer block.
struct Layer {
  std::span<const float> attention_gain;  // [hidden]
  std::span<const float> mlp_gain;        // [hidden]
  Product qkv;                            // rows of q, then k, then v
  Product out;                            // residual
  Product gate_up;                        // units alternate: gate 0, up 0, gate 1, up 1, ...
  Product down;                           // residual
};

/// A unit whose weights stand at `tiles`.
[[nodiscard]] Unit make_unit(const KernelTable& kernels, const UnitTiles& tiles, Quant quant,
                             std::int64_t index);

/// Tiles of one unit that stand together from `at` on.
[[nodiscard]] UnitTiles tiles_at(const std::uint8_t* at, Quant quant) noexcept;

/// Says in `product` which form of its input the matrix `weight` takes.
void note_input(Product& product, const WeightView& weight);

/// Hands 32 columns of `rows` rows, `values` [rows, 32], to the product that reads them next.
void emit(const KernelTable& kernels, const float* values, int rows, int block, const Product& next,
          const Activations& to);

/// The rows of a gated MLP's inner half.
struct GateUp {
  const Product& gate_up;
  const Activations& input;
  const float* row_scale;  // [rows] factors of the input
  const Product& down;     // reads the result
  const Activations& to;
  int rows;

  /// Thread `thread`'s part; `gate` and `up` are memory of [rows, 32] floats.
  void run(const KernelTable& kernels, int thread, float* gate, float* up) const;
};

/// Reads the vector `name` of `model` into `to`, which has its size.
std::span<const float> read_vector(const ModelDir& model, const std::string& name, std::span<float> to);

}  // namespace mtp_rt::native
