// One plan's call in the steps of a loop: shapes and addresses for good.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/memory.h"
#include "tensorrt/caches.h"
#include "tensorrt/plan.h"

namespace mtp_rt::cuda {

/// An input or output in memory of the loop.
struct BoundTensor {
  std::string name;
  std::vector<std::int64_t> shape;
  void* memory = nullptr;
};

/// Caches of neighbouring slots.
struct BoundSlots {
  std::span<const PlanCacheNames> names;
  const DeviceCaches* caches = nullptr;  // null: the plan has none
  Slot first = 0;
  std::int32_t count = 1;
};

/// Functions throw EngineError with the plan's file and TensorRT's reasons, CapacityError where memory ran
/// out.
class LoopCall {
 public:
  /// Opens an execution of its own: a graph that captures a call holds for its shapes and addresses alone.
  /// `inputs` are all but caches; outputs beside `outputs` get memory of the call. The plan and all memory
  /// outlive it.
  LoopCall(TensorRtPlan& plan, std::int32_t profile, std::span<const BoundTensor> inputs,
           std::span<const BoundTensor> outputs, const BoundSlots& slots);

  /// As Execution::enqueue().
  void enqueue(cudaStream_t stream);

 private:
  void bind(std::span<const BoundTensor> inputs, std::span<const BoundTensor> outputs,
            const BoundSlots& slots);
  void bind_others(std::span<const BoundTensor> outputs, const BoundSlots& slots);

  TensorRtPlan& plan_;
  std::vector<DeviceBuffer<std::byte>> unread_;  // outputs that nobody wants
  std::unique_ptr<Execution> execution_;
};

}  // namespace mtp_rt::cuda
