// The only file that names every engine.
#include <utility>

#include "engines/native/engine.h"
#include "engines/onnxruntime/engine.h"
#include "engines/tensorrt/engine.h"
#include "mtp_rt/engine.h"
#include "mtp_rt/error.h"

namespace mtp_rt {

std::unique_ptr<Engine> open_engine(std::shared_ptr<const ModelDir> model, const EngineOptions& options) {
  if (options.engine == "native") return native::open(std::move(model), options);
  if (options.engine == "onnxruntime") return onnxruntime::open(std::move(model), options);
  if (options.engine == "tensorrt") return tensorrt::open(std::move(model), options);
  throw ArgumentError("engine '" + options.engine + "' is unknown; known: native, onnxruntime, tensorrt");
}

}  // namespace mtp_rt
