// The readers of cpp/src/io as Python values.
#include <nanobind/nanobind.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>

#include "io/onnx_file.h"
#include "io/safetensors.h"
#include "mtp_rt/model_config.h"
#include "mtp_rt/model_dir.h"
#include "testing/testing.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace mtp_rt::testing {
namespace {

nb::dict heads_dict(const HeadsConfig& heads) {
  static constexpr const char* kWirings[] = {"parallel", "chained", "sequential"};
  static constexpr const char* kBodies[] = {"linear", "residual", "block"};
  nb::dict values;
  values["preset"] = heads.preset.empty() ? nb::none() : nb::cast(heads.preset);
  values["count"] = heads.count;
  values["wiring"] = kWirings[static_cast<int>(heads.wiring)];
  values["body"] = kBodies[static_cast<int>(heads.body)];
  values["shared"] = heads.shared;
  values["intermediate_size"] =
      heads.body == HeadBody::linear ? nb::none() : nb::cast(heads.intermediate_size);
  values["taps"] = nb::tuple(nb::cast(heads.taps));
  values["draft_vocab_size"] = heads.draft_vocab_size ? nb::cast(*heads.draft_vocab_size) : nb::none();
  values["unembedding"] = heads.own_unembedding ? "own" : "shared";
  values["output_norm"] = heads.output_norm;
  values["window"] = heads.window ? nb::cast(*heads.window) : nb::none();
  values["acceptance"] =
      heads.acceptance.empty() ? nb::none() : nb::object(nb::tuple(nb::cast(heads.acceptance)));
  return values;
}

nb::dict config_dict(const ModelConfig& config) {
  nb::list eos;
  for (const Token token : config.eos) eos.append(token);
  nb::dict values;
  values["format_version"] = config.format_version;
  values["architecture"] = config.architecture;
  values["hidden_size"] = config.hidden_size;
  values["intermediate_size"] = config.intermediate_size;
  values["layers"] = config.layers;
  values["heads"] = config.heads;
  values["kv_heads"] = config.kv_heads;
  values["head_dim"] = config.head_dim;
  values["vocab_size"] = config.vocab_size;
  values["context"] = config.context;
  values["rms_norm_eps"] = config.rms_norm_eps;
  values["rope_theta"] = config.rope_theta;
  values["rope_layout"] = config.rope_layout == RopeLayout::half ? "half" : "interleaved";
  values["tied_embedding"] = config.tied_embedding;
  values["bos"] = config.bos ? nb::cast(*config.bos) : nb::none();
  values["eos"] = eos;
  values["two_stage_margin"] = config.two_stage_margin ? nb::cast(*config.two_stage_margin) : nb::none();
  values["extra_heads"] = config.extra_heads ? nb::object(heads_dict(*config.extra_heads)) : nb::none();
  return values;
}

nb::bytes bytes_of(std::span<const std::byte> bytes) { return nb::bytes(bytes.data(), bytes.size()); }

nb::tuple shape_tuple(std::span<const std::int64_t> shape) {
  nb::list sizes;
  for (const std::int64_t size : shape) sizes.append(size);
  return nb::tuple(sizes);
}

nb::tuple tensor_tuple(const TensorView& tensor) {
  return nb::make_tuple(io::dtype_name(tensor.dtype), shape_tuple(tensor.shape), bytes_of(tensor.bytes));
}

nb::dict weight_dict(const WeightView& weight) {
  static constexpr const char* kKinds[] = {"f32", "bf16", "q8", "q4"};
  nb::dict parts;
  parts["kind"] = kKinds[static_cast<int>(weight.quant)];
  parts["data"] = tensor_tuple(weight.data);
  if (weight.quant == Quant::q8 || weight.quant == Quant::q4) parts["scale"] = tensor_tuple(weight.scale);
  if (weight.quant == Quant::q4) parts["min"] = tensor_tuple(weight.min);
  return parts;
}

nb::dict table_dict(std::string_view file) {
  const std::span bytes(reinterpret_cast<const std::byte*>(file.data()), file.size());
  nb::dict table;
  for (const auto& [name, tensor] : io::parse_safetensors(bytes, "model.safetensors")) {
    table[name.c_str()] =
        nb::make_tuple(io::dtype_name(tensor.dtype), shape_tuple(tensor.shape), tensor.begin, tensor.end);
  }
  return table;
}

nb::list graph_weights(const ModelDir& dir, const std::string& file) {
  nb::list weights;
  for (const io::GraphWeight& weight : io::read_onnx_file(dir, file).weights) {
    // A name may hold any bytes.
    weights.append(nb::make_tuple(nb::bytes(weight.name.data(), weight.name.size()), weight.stored,
                                  weight.type, shape_tuple(weight.shape)));
  }
  return weights;
}

std::string_view view(const nb::bytes& bytes) { return {bytes.c_str(), bytes.size()}; }

}  // namespace

void bind_io(nb::module_& module) {
  nb::class_<ModelDir>(module, "ModelDir")
      .def_static(
          "open", [](const std::string& path) { return ModelDir::open(path); }, "path"_a)
      .def_prop_ro("config", [](const ModelDir& dir) { return config_dict(dir.config()); })
      .def_prop_ro("tensor_names", &ModelDir::tensor_names)
      .def_prop_ro("file_bytes", &ModelDir::file_bytes)
      .def(
          "tensor", [](const ModelDir& dir, std::string_view name) { return tensor_tuple(dir.tensor(name)); },
          "name"_a, "(dtype, shape, bytes) of a stored tensor.")
      .def(
          "weight",
          [](const ModelDir& dir, std::string_view name, std::int64_t rows, std::int64_t cols) {
            return weight_dict(dir.weight(name, rows, cols));
          },
          "name"_a, "rows"_a, "cols"_a)
      .def(
          "forget", [](const ModelDir& dir, std::string_view name) { dir.forget(dir.tensor(name)); },
          "name"_a)
      .def("graph_weights", &graph_weights, "file"_a,
           "(name, stored name, TensorProto.DataType, shape) of what a graph points to.");
  module.def(
      "parse_model_config",
      [](const nb::bytes& text) { return config_dict(parse_model_config(view(text), "config.json")); },
      "text"_a);
  module.def(
      "parse_safetensors", [](const nb::bytes& file) { return table_dict(view(file)); }, "file"_a,
      "{name: (dtype, shape, begin, end)} of a safetensors file's bytes.");
}

}  // namespace mtp_rt::testing
