// A graph of a model directory and the weights it points to, checked before anything runs it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "mtp_rt/model_dir.h"

namespace mtp_rt::io {

/// A weight that a graph points to.
struct GraphWeight {
  std::string name;       // in the graph
  std::string stored;     // in model.safetensors
  std::int32_t type = 0;  // TensorProto.DataType
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;  // borrowed from the ModelDir
};

struct OnnxFile {
  std::string bytes;
  std::vector<GraphWeight> weights;
};

/// The weights that a graph points to; `bytes` are those of `file` of the model's directory.
///
/// On return every external tensor is an initializer of the main graph that lies in model.safetensors and
/// covers exactly one stored tensor, with as many elements as that has bytes for; the graph has no
/// functions, nested graphs or sparse tensors that could hide others.
/// Throws ModelFormatError naming `file` and the tensor otherwise.
[[nodiscard]] std::vector<GraphWeight> graph_weights(const ModelDir& model, std::span<const std::byte> bytes,
                                                     const std::string& file);

/// Reads `file` of a model directory. Throws as graph_weights() does, also if it is missing.
[[nodiscard]] OnnxFile read_onnx_file(const ModelDir& model, const std::string& file);

}  // namespace mtp_rt::io
