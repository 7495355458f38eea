#include "runtime/error.h"

#include "mtp_rt/error.h"

namespace mtp_rt::cuda {

void check(cudaError_t status, const char* doing) {
  if (status == cudaSuccess) return;
  // What went wrong once must not be reported by the next launch.
  static_cast<void>(cudaGetLastError());
  const std::string message = std::string(doing) + ": CUDA: " + cudaGetErrorString(status);
  if (status == cudaErrorMemoryAllocation) throw CapacityError(message);
  throw EngineError(message);
}

std::string runtime_version() {
  return std::to_string(CUDART_VERSION / 1000) + "." + std::to_string(CUDART_VERSION % 1000 / 10);
}

}  // namespace mtp_rt::cuda
