// What the CUDA part offers the library: one C function that returns this table.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engines/cuda/plans.h"
#include "mtp_rt/engine.h"

namespace mtp_rt::cuda {

/// A GPU that the CUDA runtime lists.
struct Device {
  std::string name;
  std::int32_t major = 0;  // compute capability
  std::int32_t minor = 0;
  std::size_t memory = 0;  // bytes
};

/// The table. Exceptions of mtp_rt/error.h pass through its functions, and C++ types cross it: library and
/// part come from one build; `version` tells releases apart. It is the first field in every version.
struct PartApi {
  const char* version;               // that of the library
  std::vector<Device> (*devices)();  // throws UnsupportedError where there is no driver or no GPU

  /// Of TensorRT's headers that the part was built with: "10.14.1"; null: it was built without.
  const char* tensorrt_headers;

  /// Opens TensorRT on the first GPU. `library` is what dlopen() gave for a library that fits the headers
  /// (engines/tensorrt/headers.h), which stays open. Throws UnsupportedError where the part was built without
  /// TensorRT, where there is no driver or no GPU, EngineError where TensorRT does not start.
  std::unique_ptr<PlanDevice> (*open_plan_device)(void* library);
};

/// The name under which the part exports a GetPartApi.
inline constexpr const char* kPartEntry = "mtp_rt_cuda_part";

using GetPartApi = const PartApi* (*)();

}  // namespace mtp_rt::cuda
