// Caches of plans in the GPU's memory.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "engines/cuda/plans.h"
#include "kernels/copy_rows.h"
#include "kernels/step_types.h"
#include "runtime/memory.h"
#include "tensorrt/runtime.h"

namespace mtp_rt::cuda {

/// So many matrices [slots, heads, places, head_dim] of float16, one behind the other.
class DeviceCaches final : public PlanCaches {
 public:
  /// Throws CapacityError where the GPU's memory does not suffice, ArgumentError on sizes out of range,
  /// UnsupportedError if TensorRT would find the caches of a slot at an address that it does not take.
  DeviceCaches(std::shared_ptr<Runtime> runtime, const PlanCacheShape& shape);

  void keep(Slot slot, std::int32_t base, std::span<const std::int32_t> offsets) override;

  /// As enqueue_move() takes them, for steps whose slots are those of the caches.
  [[nodiscard]] CacheLayout layout() const noexcept;

  [[nodiscard]] const PlanCacheShape& shape() const noexcept { return shape_; }

  /// Where the caches of slots from `first` on stand in a matrix.
  [[nodiscard]] void* at(std::size_t matrix, Slot first) const noexcept;

 private:
  using Half = std::uint16_t;  // bits that nobody here looks at

  void check_places(Slot slot, std::int32_t base, std::span<const std::int32_t> offsets) const;

  std::shared_ptr<Runtime> runtime_;
  PlanCacheShape shape_;
  std::size_t slot_size_ = 0;    // values
  std::size_t matrix_size_ = 0;  // values, with what fills it up to the next matrix
  DeviceBuffer<Half> values_;
  DeviceBuffer<void*> matrices_;  // where each begins
  // What enqueue_move() reads of a step of one sequence.
  DeviceBuffer<StepOutcome> outcome_;
  DeviceBuffer<std::int32_t> slot_;
  DeviceBuffer<std::int32_t> kept_;
};

}  // namespace mtp_rt::cuda
