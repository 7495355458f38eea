// The native engine's row kernels, one by one, on any instruction set of this CPU.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include "engines/native/attention.h"
#include "engines/native/kernels/select.h"
#include "engines/native/workspace.h"
#include "mtp_rt/error.h"
#include "testing/testing.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace mtp_rt::testing {
namespace {

using Floats = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

constexpr std::size_t kUnit = native::kUnit;

// A copy of `values` in whole units of 32.
std::vector<float> units(const Floats& values) {
  if (values.size() == 0 || values.size() % kUnit != 0) throw ArgumentError("values: expected units of 32");
  return {values.data(), values.data() + values.size()};
}

std::tuple<std::vector<std::int8_t>, std::vector<float>> quantize(const std::string& isa,
                                                                  const Floats& values) {
  const std::vector<float> x = units(values);
  const std::size_t blocks = x.size() / kUnit;
  const std::size_t places = blocks * native::kPanel;  // one row of a panel of 8
  std::vector<std::int8_t> codes(places * kUnit);
  std::vector<float> scale(places);
  std::vector<float> scaled_sum(places);
  std::vector<std::int32_t> offset(places);
  const native::Activations out{codes.data(),  scale.data(), scaled_sum.data(),
                                offset.data(), nullptr,      static_cast<int>(blocks)};
  std::vector<std::int8_t> found_codes;
  std::vector<float> found_scales;
  for (std::size_t block = 0; block < blocks; ++block) {
    native::select_kernels(isa).quantize(x.data() + block * kUnit, 1, static_cast<int>(block), out);
    const auto* from = codes.data() + block * native::kPanel * kUnit;
    found_codes.insert(found_codes.end(), from, from + kUnit);
    found_scales.push_back(scale[block * native::kPanel]);
  }
  return {found_codes, found_scales};
}

std::tuple<std::vector<float>, float, float> softmax(const std::string& isa, const Floats& scores) {
  if (scores.size() == 0) throw ArgumentError("scores: expected at least one");
  const std::size_t lanes = native::kLanes;
  std::vector<float> weights((scores.size() + lanes - 1) / lanes * lanes, 1e30F);
  std::copy_n(scores.data(), scores.size(), weights.data());
  float max = 0.0F;
  float sum = 0.0F;
  native::select_kernels(isa).softmax(weights.data(), static_cast<int>(scores.size()), &max, &sum);
  return {weights, max, sum};
}

using Rows = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

// One slot, layer and KV head whose first block holds `keys` and `values` [positions, head_dim].
native::KvCache filled_cache(const native::KernelTable& kernels, native::KvKind kind, const Rows& keys,
                             const Rows& values) {
  native::KvCache cache({kind, 1, 1, static_cast<int>(keys.shape(1))}, 1, native::kContextBlock);
  const native::ActivationBuffer block(1, 1);
  const native::Activations& codes = block.view();
  for (std::size_t i = 0; i < keys.shape(0); ++i) {
    const native::KvPlace place{0, 0, 0, static_cast<int>(i)};
    for (std::size_t d = 0; d < keys.shape(1); d += kUnit) {
      const int panel = static_cast<int>(d / kUnit);
      const float* key = keys.data() + i * keys.shape(1) + d;
      const float* value = values.data() + i * keys.shape(1) + d;
      if (kind == native::KvKind::f32) {
        cache.put(native::KvSide::key, place, panel, key);
        cache.put(native::KvSide::value, place, panel, value);
        continue;
      }
      kernels.quantize(key, 1, 0, codes);
      cache.put(native::KvSide::key, place, panel, codes.quantized, codes.scale[0]);
      kernels.quantize(value, 1, 0, codes);
      cache.put(native::KvSide::value, place, panel, codes.quantized, codes.scale[0]);
    }
  }
  return cache;
}

std::vector<std::vector<float>> attend(const std::string& isa, bool quantized, const Rows& queries,
                                       const Rows& keys, const Rows& values, const std::vector<int>& counts) {
  const native::KernelTable& kernels = native::select_kernels(isa);
  const native::KvKind kind = quantized ? native::KvKind::q8 : native::KvKind::f32;
  const std::size_t dim = queries.shape(1);
  const int n = static_cast<int>(queries.shape(0));
  if (dim == 0 || dim % kUnit != 0 || dim > native::kMaxHeadDim || keys.shape(1) != dim ||
      values.shape(1) != dim || values.shape(0) != keys.shape(0) || counts.size() != queries.shape(0) ||
      keys.shape(0) > native::kContextBlock || std::any_of(counts.begin(), counts.end(), [&](int c) {
        return c < 1 || std::size_t(c) > keys.shape(0);
      }))
    throw ArgumentError("attend: sizes do not fit");
  const native::KvCache cache = filled_cache(kernels, kind, keys, values);
  const native::AttentionShape shape{1, 1, static_cast<int>(dim)};
  const native::AttentionMemory memory(shape, kind, n, native::kContextBlock);
  const native::ActivationBuffer block(1, 1);
  std::vector<const std::byte*> query;
  std::vector<float*> partials;
  for (int q = 0; q < n; ++q) {
    for (std::size_t d = 0; d < dim; d += kUnit) {
      const float* from = queries.data() + static_cast<std::size_t>(q) * dim + d;
      kernels.quantize(from, 1, 0, block.view());
      const int panel = static_cast<int>(d / kUnit);
      if (quantized)
        memory.put_query(q, 0, panel, block.view().quantized, block.view().scale[0], block.view().offset[0]);
      if (!quantized) memory.put_query(q, 0, panel, from);
    }
    query.push_back(memory.query(q, 0));
    partials.push_back(memory.partials(q, 0, 1));
  }
  const native::KvBlock kv = cache.block({});
  (quantized ? kernels.attend_q8
             : kernels.attend_f32)({kv.keys, kv.values, kv.keys, kv.values, static_cast<int>(dim / kUnit), n,
                                    query.data(), counts.data(), partials.data()});
  std::vector<std::vector<float>> results;
  for (const float* partial : partials) {
    std::vector<float>& result = results.emplace_back(partial, partial + 2);
    result.insert(result.end(), partial + native::kLanes, partial + native::kLanes + dim);
  }
  return results;
}

using Tiles = nb::ndarray<const std::uint8_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

// The product of each row of `values` [rows, 32 * blocks] with one unit of `tiles` [2 * blocks, bytes]; for
// 8-bit weights `low` holds the lower four bits, or is empty for the coarse product of the upper ones.
std::vector<std::vector<float>> dot(const std::string& isa, const std::string& kind, const Tiles& tiles,
                                    const Tiles& low, const Rows& values) {
  const native::KernelTable& kernels = native::select_kernels(isa);
  const int rows = static_cast<int>(values.shape(0));
  const std::size_t blocks = values.shape(1) / kUnit;
  const bool wide = kind == "q8";
  const std::size_t bytes = kind == "q4" ? native::kTileQ4 : native::kTileHigh;
  if (tiles.shape(0) != 2 * blocks || tiles.shape(1) != bytes || (wide && low.shape(0) != 2 * blocks) ||
      (wide && low.shape(1) != native::kTileLow))
    throw ArgumentError("dot: sizes do not fit");
  const native::ActivationBuffer input(rows, static_cast<int>(blocks));
  std::vector<float> column(static_cast<std::size_t>(rows) * kUnit);
  for (std::size_t block = 0; block < blocks; ++block) {
    for (std::size_t r = 0; r < values.shape(0); ++r)
      std::copy_n(values.data() + (r * blocks + block) * kUnit, kUnit, column.data() + r * kUnit);
    kernels.quantize(column.data(), rows, static_cast<int>(block), input.view());
  }
  const native::DotKernel kernel = kind == "q4" ? kernels.dot_q4
                                   : wide       ? kernels.dot_q8
                                                : kernels.dot_q8_coarse;
  const std::vector<float> ones(static_cast<std::size_t>(rows), 1.0F);
  kernel({tiles.data(), bytes, wide ? low.data() : nullptr, native::kTileLow}, input.view(), ones.data(), 0,
         rows, column.data());
  std::vector<std::vector<float>> results;
  for (std::size_t r = 0; r < values.shape(0); ++r)
    results.emplace_back(column.data() + r * kUnit, column.data() + (r + 1) * kUnit);
  return results;
}

std::vector<float> mix(const std::string& isa, const Floats& values) {
  std::vector<float> result = units(values);
  native::select_kernels(isa).mix(result.data(), static_cast<int>(result.size() / kUnit));
  return result;
}

std::vector<float> swiglu(const std::string& isa, const Floats& gate, const Floats& up) {
  std::vector<float> result = units(gate);
  if (up.size() != result.size()) throw ArgumentError("up: expected the size of gate");
  native::select_kernels(isa).swiglu(result.data(), up.data(), static_cast<int>(result.size() / kUnit));
  return result;
}

std::tuple<std::vector<float>, std::vector<float>, std::vector<float>> add_residual(const std::string& isa,
                                                                                    const Floats& values,
                                                                                    const Floats& gain,
                                                                                    const Floats& residual) {
  std::vector<float> scaled = units(values);
  std::vector<float> sum = units(residual);
  if (gain.size() != kUnit || sum.size() != scaled.size()) throw ArgumentError("gain, residual: wrong size");
  const std::size_t rows = scaled.size() / kUnit;
  std::vector<float> squares(rows);
  native::select_kernels(isa).add_residual(scaled.data(), static_cast<int>(rows), gain.data(), sum.data(),
                                           kUnit, squares.data(), 1);
  return {sum, scaled, squares};
}

}  // namespace

void bind_kernels(nb::module_& module) {
  module.def("kernel_quantize", &quantize, "isa"_a, "values"_a, "(codes, scale of each block of 32).");
  module.def("kernel_softmax", &softmax, "isa"_a, "scores"_a,
             "(exp(score - max) padded with zeros to 16, max, sum).");
  module.def(
      "kernel_attend", &attend, "isa"_a, "quantized"_a, "queries"_a, "keys"_a, "values"_a, "counts"_a,
      "Of each query, over its first `count` positions: max score, sum of 2^(score - max), weighted values.");
  module.def("kernel_dot", &dot, "isa"_a, "kind"_a, "tiles"_a, "low"_a, "values"_a,
             "[rows, 32]: rows of values times a unit of tiles; kind is q4, q8 or q8_coarse.");
  module.def("kernel_mix", &mix, "isa"_a, "values"_a, "Hadamard transform of each 32 / sqrt(32).");
  module.def("kernel_swiglu", &swiglu, "isa"_a, "gate"_a, "up"_a, "silu(gate) * up.");
  module.def("kernel_add_residual", &add_residual, "isa"_a, "values"_a, "gain"_a, "residual"_a,
             "(residual + values, that times gain, sum of squares of each 32).");
}

}  // namespace mtp_rt::testing
