// A GPU that runs plans.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "engines/cuda/part_api.h"
#include "engines/cuda/plans.h"
#include "tensorrt/runtime.h"

namespace mtp_rt::cuda {

class TensorRtDevice final : public PlanDevice {
 public:
  /// `library` as Runtime takes it, `gpu` the current one. Throws EngineError if TensorRT does not start.
  TensorRtDevice(void* library, Device gpu);

  [[nodiscard]] std::string name() const override { return gpu_.name; }
  [[nodiscard]] std::string compute_capability() const override;
  [[nodiscard]] std::unique_ptr<PlanCaches> make_caches(const PlanCacheShape& shape) override;
  [[nodiscard]] std::unique_ptr<Plan> open_plan(const std::string& file, std::span<const std::byte> plan,
                                                std::span<const PlanCacheNames> caches) override;

  [[nodiscard]] std::unique_ptr<DeviceLoop> make_loop(const PlanLoopModel& model) override;

 private:
  Device gpu_;
  std::shared_ptr<Runtime> runtime_;
};

}  // namespace mtp_rt::cuda
