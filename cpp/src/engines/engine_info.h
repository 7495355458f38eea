// What every engine says of itself in the same way.
#pragma once

#include <string>

#include "mtp_rt/engine.h"
#include "mtp_rt/model_config.h"

namespace mtp_rt {

/// Name, device, sizes of the model and the numbers that options choose; the rest is for the engine to fill.
/// Throws ArgumentError on an option out of its range.
[[nodiscard]] EngineInfo make_engine_info(std::string name, std::string device, const ModelConfig& config,
                                          const EngineOptions& options);

}  // namespace mtp_rt
