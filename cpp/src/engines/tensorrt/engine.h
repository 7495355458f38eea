// The engine that runs a model directory's TensorRT plans on a GPU.
#pragma once

#include <memory>

#include "engines/cuda/plans.h"
#include "engines/tensorrt/plans_record.h"
#include "mtp_rt/engine.h"

namespace mtp_rt::tensorrt {

/// Opens the plans of `model` on the first GPU. Throws as open_engine() does: UnsupportedError where the
/// directory's plans do not fit this machine.
[[nodiscard]] std::unique_ptr<Engine> open(std::shared_ptr<const ModelDir> model,
                                           const EngineOptions& options);

/// The same on a given GPU, whose TensorRT is the one that built the plans.
[[nodiscard]] std::unique_ptr<Engine> open_on(std::unique_ptr<cuda::PlanDevice> device,
                                              std::shared_ptr<const ModelDir> model,
                                              const PlansRecord& record, const EngineOptions& options);

}  // namespace mtp_rt::tensorrt
