// The engine that runs exported graphs in ONNX Runtime.
#pragma once

#include <memory>

#include "mtp_rt/engine.h"

namespace mtp_rt::onnxruntime {

/// Opens the graphs of `model`. Throws as open_engine() does.
[[nodiscard]] std::unique_ptr<Engine> open(std::shared_ptr<const ModelDir> model,
                                           const EngineOptions& options);

/// The same with caches where those of a GPU lie: in memory that ONNX Runtime allocated and only graphs
/// touch, whatever the provider. Tests run on the CPU what a GPU runs.
[[nodiscard]] std::unique_ptr<Engine> open_with_device_caches(std::shared_ptr<const ModelDir> model,
                                                              const EngineOptions& options);

}  // namespace mtp_rt::onnxruntime
