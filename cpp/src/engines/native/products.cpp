#include "engines/native/products.h"

#include <algorithm>

#include "engines/native/tiles.h"

namespace mtp_rt::native {
namespace {

DotKernel dot_kernel(const KernelTable& kernels, Quant quant) {
  switch (quant) {
    case Quant::q4:
      return kernels.dot_q4;
    case Quant::q8:
      return kernels.dot_q8;
    case Quant::bf16:
      return kernels.dot_bf16;
    case Quant::f32:
      return kernels.dot_f32;
  }
  return nullptr;
}

}  // namespace

Unit make_unit(const KernelTable& kernels, const UnitTiles& tiles, Quant quant, std::int64_t index) {
  return {tiles, dot_kernel(kernels, quant), quant, static_cast<int>(index)};
}

UnitTiles tiles_at(const std::uint8_t* at, Quant quant) noexcept {
  const std::size_t stride = tile_bytes(quant);
  if (quant == Quant::q8) return {at, stride, at + kTileHigh, stride};
  return {at, stride, nullptr, 0};
}

void note_input(Product& product, const WeightView& weight) {
  product.blocks = static_cast<int>(weight.cols / kBlock);
  const bool quantized = weight.quant == Quant::q4 || weight.quant == Quant::q8;
  (quantized ? product.takes_quantized : product.takes_values) = true;
}

void emit(const KernelTable& kernels, const float* values, int rows, int block, const Product& next,
          const Activations& to) {
  if (next.takes_quantized) kernels.quantize(values, rows, block, to);
  if (!next.takes_values) return;
  for (int r = 0; r < rows; ++r, values += kUnit) {
    const auto at = static_cast<std::size_t>((r / kPanel * to.blocks + block) * kPanel + r % kPanel);
    std::copy_n(values, kBlock, to.values + at * kBlock);
  }
}

void GateUp::run(const KernelTable& kernels, int thread, float* gate, float* up) const {
  const std::vector<Unit>& units = gate_up.units[static_cast<std::size_t>(thread)];
  for (std::size_t i = 0; i < units.size(); i += 2) {
    units[i].dot(units[i].tiles, input, row_scale, 0, rows, gate);
    units[i + 1].dot(units[i + 1].tiles, input, row_scale, 0, rows, up);
    kernels.swiglu(gate, up, rows);
    emit(kernels, gate, rows, units[i].index / 2, down, to);
  }
}

std::span<const float> read_vector(const ModelDir& model, const std::string& name, std::span<float> to) {
  const TensorView view = model.tensor(name);
  std::copy_n(view.bytes.data(), std::min(view.bytes.size(), to.size_bytes()),
              reinterpret_cast<std::byte*>(to.data()));
  return to;
}

}  // namespace mtp_rt::native
