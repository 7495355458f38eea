// A plan that TensorRT has opened.
#pragma once

#include <NvInferRuntime.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engines/cuda/plans.h"
#include "runtime/memory.h"
#include "tensorrt/caches.h"
#include "tensorrt/execution.h"
#include "tensorrt/runtime.h"

namespace mtp_rt::cuda {

class TensorRtPlan final : public Plan {
 public:
  /// As PlanDevice::open_plan().
  TensorRtPlan(std::shared_ptr<Runtime> runtime, std::string file, std::span<const std::byte> plan,
               std::span<const PlanCacheNames> caches);

  [[nodiscard]] const std::vector<PlanTensor>& tensors() const noexcept override { return tensors_; }

  void run(const PlanCall& call) override;

  /// Calls with a profile: what run() does without the host's memory. Opened with the first use, which waits.
  /// Throws ArgumentError if there is no such profile.
  [[nodiscard]] Execution& execution(std::int32_t profile);

 private:
  struct Staged {
    std::size_t value_bytes = 0;
    bool is_cache = false;           // then nothing else is used
    std::size_t bytes = 0;           // in this call
    DeviceBuffer<std::byte> memory;  // at least as many
  };

  void check_inputs(std::span<const PlanInput> inputs) const;
  void run_call(const PlanCall& call);
  void put_inputs(Execution& execution, std::span<const PlanInput> inputs);
  void put_caches(Execution& execution, const PlanCall& call);
  void put_outputs(Execution& execution);
  void fetch(std::span<const PlanOutput> outputs);
  void bind_staged(Execution& execution, std::size_t tensor, std::span<const std::int64_t> shape);
  [[nodiscard]] std::size_t index_of(const std::string& name, bool is_input) const;

  std::shared_ptr<Runtime> runtime_;
  std::string file_;
  std::unique_ptr<nvinfer1::ICudaEngine> engine_;
  std::vector<PlanCacheNames> caches_;
  std::vector<PlanTensor> tensors_;
  std::vector<Staged> staged_;  // of each tensor
  DeviceBuffer<std::byte> scratch_;
  std::vector<std::unique_ptr<Execution>> executions_;  // of each profile; null: not used yet
};

}  // namespace mtp_rt::cuda
