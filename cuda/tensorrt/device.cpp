#include "tensorrt/device.h"

#include <utility>

#include "tensorrt/caches.h"
#include "tensorrt/file_errors.h"
#include "tensorrt/plan.h"
#include "tensorrt/plan_loop.h"

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

std::unique_ptr<DeviceLoop> TensorRtDevice::make_loop(const PlanLoopModel& model) {
  std::unique_ptr<DeviceLoop> loop;
  with_file("the loop on the GPU", [&] { loop = std::make_unique<PlanLoop>(runtime_, model); });
  return loop;
}

}  // namespace mtp_rt::cuda
