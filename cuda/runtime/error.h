// Failures of the CUDA runtime as exceptions.
#pragma once

#include <cuda_runtime_api.h>

#include <string>

namespace mtp_rt::cuda {

/// Throws EngineError("`doing`: CUDA: ...") unless `status` is success; CapacityError where memory ran out.
void check(cudaError_t status, const char* doing);

/// "13.0": of the runtime that is linked into this part.
[[nodiscard]] std::string runtime_version();

}  // namespace mtp_rt::cuda
