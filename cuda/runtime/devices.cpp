#include "runtime/devices.h"

#include "mtp_rt/error.h"
#include "runtime/error.h"

namespace mtp_rt::cuda {

std::vector<Device> devices() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaErrorNoDevice || (status == cudaSuccess && count == 0)) {
    throw UnsupportedError("CUDA part: this machine has no GPU that the driver lets us use");
  }
  if (status == cudaErrorInsufficientDriver) {
    throw UnsupportedError("CUDA part: no NVIDIA driver, or one too old for CUDA " + runtime_version());
  }
  check(status, "listing GPUs");
  std::vector<Device> found;
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp properties{};
    check(cudaGetDeviceProperties(&properties, i), "reading a GPU's properties");
    found.push_back({properties.name, properties.major, properties.minor, properties.totalGlobalMem});
  }
  return found;
}

}  // namespace mtp_rt::cuda
