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

/// Throws UnsupportedError unless the session reads those inputs where the provider's device has its memory.
/// Any other is copied when it is bound: what graphs write to it later would not be seen.
void check_read_on_device(const Runtime& runtime, const OrtSession& session, const std::string& file,
                          std::span<const graphs::Tensor> tensors);

}  // namespace mtp_rt::onnxruntime
