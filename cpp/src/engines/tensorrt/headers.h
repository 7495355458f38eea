// Which libraries code that was compiled with TensorRT's headers can call.
#pragma once

#include <string_view>

namespace mtp_rt::tensorrt {

/// Throws UnsupportedError unless the classes in a library ("tensorrt", "10.15.1.29") are laid out as in the
/// headers of the version `headers` ("10.14.1"; empty: the CUDA part was built without any).
///
/// Classes are called through tables of virtual functions: in others, calls end somewhere else.
void check_headers(std::string_view headers, std::string_view library, std::string_view version);

}  // namespace mtp_rt::tensorrt
