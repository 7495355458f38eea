// The engine that runs exported graphs in ONNX Runtime.
#pragma once

#include <memory>

#include "mtp_rt/engine.h"

namespace mtp_rt::onnxruntime {

/// Opens the graphs of `model`. Throws as open_engine() does.
[[nodiscard]] std::unique_ptr<Engine> open(std::shared_ptr<const ModelDir> model,
                                           const EngineOptions& options);

}  // namespace mtp_rt::onnxruntime
