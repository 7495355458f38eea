// Calls of an open plan with one of its profiles, whose tensors lie in the GPU's memory.
#pragma once

#include <NvInferRuntime.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/memory.h"
#include "tensorrt/caches.h"
#include "tensorrt/runtime.h"

namespace mtp_rt::cuda {

/// "[1, 4, -1]"
[[nodiscard]] std::string shape_text(std::span<const std::int64_t> shape);

/// Functions throw EngineError with TensorRT's reasons, CapacityError where memory ran out.
///
/// Shapes of all inputs come first, then the addresses of all tensors, then enqueue(). Shapes and addresses
/// stay until they are set again.
class Execution {
 public:
  /// `scratch`: memory of the GPU for values in between, as large as the plan's largest profile needs; calls
  /// that share it run one after the other.
  Execution(Runtime& runtime, nvinfer1::ICudaEngine& engine, std::int32_t profile,
            std::span<std::byte> scratch);

  void set_shape(const std::string& input, std::span<const std::int64_t> shape);

  /// The shape of an input or, once all inputs have theirs, of an output.
  [[nodiscard]] std::vector<std::int64_t> shape_of(const std::string& tensor);

  /// `memory` begins at a multiple of 256 bytes.
  void bind(const std::string& tensor, void* memory);

  /// Shapes and binds caches of `batch` slots from `first` on: a matrix's input and output to the same
  /// memory. Nothing is done where the last call said the same.
  void bind_caches(std::span<const PlanCacheNames> names, const DeviceCaches& caches, Slot first,
                   std::int32_t batch);

  /// Throws unless every output of a matrix has the shape of its input: a plan must not write beyond it.
  void check_caches(std::span<const PlanCacheNames> names);

  /// Enqueues the call; it neither waits nor, once a call with these shapes has run, allocates. So a second
  /// one can be captured in a graph, which holds for these shapes and addresses.
  void enqueue(cudaStream_t stream);

 private:
  struct BoundCaches {
    const void* memory = nullptr;
    PlanCacheShape shape;
    Slot first = 0;
    std::int32_t batch = 0;

    bool operator==(const BoundCaches&) const = default;
  };

  Runtime& runtime_;
  std::unique_ptr<nvinfer1::IExecutionContext> context_;
  std::optional<BoundCaches> bound_;
};

}  // namespace mtp_rt::cuda
