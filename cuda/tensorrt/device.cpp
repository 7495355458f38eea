#include "tensorrt/device.h"

#include <utility>

#include "tensorrt/caches.h"
#include "tensorrt/plan.h"

namespace mtp_rt::cuda {

TensorRtDevice::TensorRtDevice(void* library, Device gpu)
    : gpu_(std::move(gpu)), runtime_(std::make_shared<Runtime>(library)) {}

std::string TensorRtDevice::compute_capability() const {
  return std::to_string(gpu_.major) + "." + std::to_string(gpu_.minor);
}

std::unique_ptr<PlanCaches> TensorRtDevice::make_caches(const PlanCacheShape& shape) {
  return std::make_unique<DeviceCaches>(runtime_, shape);
}

std::unique_ptr<Plan> TensorRtDevice::open_plan(const std::string& file, std::span<const std::byte> plan,
                                                std::span<const PlanCacheNames> caches) {
  return std::make_unique<TensorRtPlan>(runtime_, file, plan, caches);
}

}  // namespace mtp_rt::cuda
