// The native CPU engine.
#pragma once

#include <memory>

#include "mtp_rt/engine.h"

namespace mtp_rt::native {

/// Opens `model` on the CPU. Throws as open_engine() does.
[[nodiscard]] std::unique_ptr<Engine> open(std::shared_ptr<const ModelDir> model,
                                           const EngineOptions& options);

}  // namespace mtp_rt::native
