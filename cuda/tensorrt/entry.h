// What the part offers of TensorRT. Built with TensorRT's headers, entry.cpp defines it; without, none.cpp.
#pragma once

#include <memory>

#include "engines/cuda/plans.h"

namespace mtp_rt::cuda {

/// PartApi::tensorrt_headers.
[[nodiscard]] const char* tensorrt_headers() noexcept;

/// PartApi::open_plan_device.
[[nodiscard]] std::unique_ptr<PlanDevice> open_plan_device(void* library);

}  // namespace mtp_rt::cuda
