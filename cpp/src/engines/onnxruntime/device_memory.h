// Memory of the provider's device, which ONNX Runtime allocates and only graphs touch.
#pragma once

#include <memory>

#include "engines/onnxruntime/cache_memory.h"
#include "engines/onnxruntime/row_mover.h"
#include "engines/onnxruntime/runtime.h"

namespace mtp_rt::onnxruntime {

/// Memory of the allocator that the session of `mover` has for its device; both outlive it. Throws
/// EngineError where it has none.
[[nodiscard]] std::unique_ptr<CacheMemory> make_device_memory(const Runtime& runtime, const RowMover& mover);

}  // namespace mtp_rt::onnxruntime
