#include "tensorrt/entry.h"

#include <NvInferVersion.h>

#include "runtime/devices.h"
#include "tensorrt/device.h"

#define MTP_RT_TEXT_OF(number) #number
#define MTP_RT_TEXT(number) MTP_RT_TEXT_OF(number)

namespace mtp_rt::cuda {

const char* tensorrt_headers() noexcept {
  return MTP_RT_TEXT(NV_TENSORRT_MAJOR) "." MTP_RT_TEXT(NV_TENSORRT_MINOR) "." MTP_RT_TEXT(NV_TENSORRT_PATCH);
}

std::unique_ptr<PlanDevice> open_plan_device(void* library) {
  // The driver's reasons are clearer than TensorRT's.
  return std::make_unique<TensorRtDevice>(library, devices().front());
}

}  // namespace mtp_rt::cuda
