// The CUDA part: a shared object beside the library, opened when something asks for a GPU.
#pragma once

#include <string>

#include "engines/cuda/part_api.h"

namespace mtp_rt::cuda {

/// Opens `path`; empty: libmtp_rt_cuda.so beside the library. It stays loaded: the CUDA runtime inside keeps
/// threads.
/// Throws UnsupportedError where this build has none, or the file is another one or of another version.
[[nodiscard]] const PartApi& open_part(const std::string& path = "");

}  // namespace mtp_rt::cuda
