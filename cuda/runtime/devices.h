// The GPUs of this machine.
#pragma once

#include <vector>

#include "engines/cuda/part_api.h"

namespace mtp_rt::cuda {

/// The GPUs that the driver lets us use: at least one.
/// Throws UnsupportedError where there is no driver, one that is too old, or no GPU.
[[nodiscard]] std::vector<Device> devices();

}  // namespace mtp_rt::cuda
