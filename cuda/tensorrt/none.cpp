// A part that was built without TensorRT's headers.
#include "mtp_rt/error.h"
#include "tensorrt/entry.h"

namespace mtp_rt::cuda {

const char* tensorrt_headers() noexcept { return nullptr; }

std::unique_ptr<PlanDevice> open_plan_device(void* /*library*/) {
  throw UnsupportedError(
      "CUDA part: it was built without TensorRT; build with MTP_RT_TENSORRT_INCLUDE, the folder of "
      "NvInfer.h");
}

}  // namespace mtp_rt::cuda
