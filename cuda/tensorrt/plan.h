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

  /// Another execution with a profile, for shapes and addresses of its own; it shares the memory for values
  /// in between, and the plan outlives it. Waits, throws as execution().
  [[nodiscard]] std::unique_ptr<Execution> make_execution(std::int32_t profile);

  /// Bytes of a value of one of tensors().
  [[nodiscard]] std::size_t value_bytes_of(const std::string& tensor) const;

  [[nodiscard]] const std::string& file() const noexcept { return file_; }

 private:
  struct Staged {
    std::size_t value_bytes = 0;
    bool is_cache = false;           // then nothing else is used
    std::size_t bytes = 0;           // in this call
    DeviceBuffer<std::byte> memory;  // at least as many
  };

  void check_profile(std::int32_t profile) const;
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
