// A graph that is open in ONNX Runtime, and what its inputs and outputs must be.
#pragma once

#include <span>
#include <string>

#include "engines/graphs/graph.h"
#include "engines/onnxruntime/runtime.h"
#include "io/onnx_file.h"

namespace mtp_rt::onnxruntime {

[[nodiscard]] ElementType element_type(graphs::NumberType type) noexcept;

/// Opens a checked graph. Throws ModelFormatError naming `file` if ONNX Runtime refuses it or its inputs and
/// outputs are not those given, UnsupportedError for operators that this ONNX Runtime
/// lacks, CapacityError where the weights do not fit into the device's memory.
[[nodiscard]] Owned<OrtSession> open_session(const Runtime& runtime, const io::OnnxFile& graph,
                                             const std::string& file, std::span<const graphs::Tensor> inputs,
                                             std::span<const graphs::Tensor> outputs);

}  // namespace mtp_rt::onnxruntime
