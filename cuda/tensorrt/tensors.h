// What a plan says of its inputs and outputs.
#pragma once

#include <NvInferRuntime.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engines/cuda/plans.h"

namespace mtp_rt::cuda {

inline constexpr std::size_t kLeastBytes =
    256;  ///< Of a tensor's memory: TensorRT takes no null, even for no values.

/// Throws ModelFormatError if one is of a kind that calls cannot give or take: in the host's memory, not in
/// rows, of values smaller than a byte, with a name that is not plain text.
[[nodiscard]] std::vector<PlanTensor> tensors_of(const nvinfer1::ICudaEngine& engine,
                                                 const std::string& file);

/// Bytes of a value of a tensor in `tensors_of(engine)`.
[[nodiscard]] std::size_t value_bytes(const nvinfer1::ICudaEngine& engine, const std::string& tensor);

/// Bytes of such a tensor. Throws CapacityError where no memory could hold as many.
[[nodiscard]] std::size_t bytes_of(std::span<const std::int64_t> shape, std::size_t value_bytes);

/// Throws ModelFormatError unless every matrix is an input and an output, float16, [batch, heads, places,
/// head_dim] where only the batch is open.
void check_caches(std::span<const PlanTensor> tensors, std::span<const PlanCacheNames> caches,
                  const std::string& file);

}  // namespace mtp_rt::cuda
