// The entry of the CUDA part.
#include "engines/cuda/part_api.h"
#include "runtime/devices.h"
#include "tensorrt/entry.h"

extern "C" [[gnu::visibility("default")]] const mtp_rt::cuda::PartApi* mtp_rt_cuda_part() {
  using namespace mtp_rt::cuda;
  static const PartApi api{MTP_RT_VERSION, &devices, tensorrt_headers(), &open_plan_device};
  return &api;
}
