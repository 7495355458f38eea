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

#include "engines/native/kernels/select.h"
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

std::vector<std::uint16_t> to_half(const std::string& isa, const Floats& values) {
  const std::vector<float> x = units(values);
  std::vector<std::uint16_t> half(x.size());
  for (std::size_t i = 0; i < x.size(); i += kUnit)
    native::select_kernels(isa).to_half(x.data() + i, half.data() + i);
  return half;
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
  module.def("kernel_to_half", &to_half, "isa"_a, "values"_a, "float16 bits.");
  module.def("kernel_softmax", &softmax, "isa"_a, "scores"_a,
             "(exp(score - max) padded with zeros to 16, max, sum).");
  module.def("kernel_swiglu", &swiglu, "isa"_a, "gate"_a, "up"_a, "silu(gate) * up.");
  module.def("kernel_add_residual", &add_residual, "isa"_a, "values"_a, "gain"_a, "residual"_a,
             "(residual + values, that times gain, sum of squares of each 32).");
}

}  // namespace mtp_rt::testing
