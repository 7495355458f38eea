#include "engines/tensorrt/headers.h"

#include <charconv>
#include <cstdint>
#include <string>

#include "mtp_rt/error.h"

namespace mtp_rt::tensorrt {
namespace {

constexpr std::int32_t kFirstTensorRt = 10;
// TensorRT-RTX counts for itself. From 1.7 on its classes are those of TensorRT 11; others were not tried.
constexpr std::int32_t kRtxMajor = 1;
constexpr std::int32_t kFirstRtxMinor = 7;
constexpr std::int32_t kHeadersOfRtx = 11;

/// The number at the head of `text`; 0: there is none.
std::int32_t number(std::string_view text) {
  std::int32_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::int32_t minor_of(std::string_view version) {
  const std::size_t dot = version.find('.');
  return dot == std::string_view::npos ? 0 : number(version.substr(dot + 1));
}

/// The major version of the headers that fit a library; 0: none do.
std::int32_t headers_for(std::string_view library, std::string_view version) {
  const std::int32_t major = number(version);
  if (library == "tensorrt") return major >= kFirstTensorRt ? major : 0;
  return library == "tensorrt_rtx" && major == kRtxMajor && minor_of(version) >= kFirstRtxMinor
             ? kHeadersOfRtx
             : 0;
}

}  // namespace

void check_headers(std::string_view headers, std::string_view library, std::string_view version) {
  const std::int32_t wanted = headers_for(library, version);
  if (wanted != 0 && number(headers) == wanted) return;
  const std::string which = std::string(library) + " " + std::string(version);
  if (wanted == 0) {
    throw UnsupportedError("engine 'tensorrt': no headers are known whose classes are those of " + which +
                           "; use TensorRT 10 or newer, or TensorRT-RTX 1.7 or newer");
  }
  throw UnsupportedError("engine 'tensorrt': the CUDA part was built " +
                         (headers.empty() ? "without TensorRT's headers"
                                          : "with the headers of TensorRT " + std::string(headers)) +
                         ", and " + which + " needs those of TensorRT " + std::to_string(wanted) +
                         "; build with MTP_RT_CUDA=ON and MTP_RT_TENSORRT_INCLUDE, their folder");
}

}  // namespace mtp_rt::tensorrt
