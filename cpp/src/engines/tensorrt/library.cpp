#include "engines/tensorrt/library.h"

#include <dlfcn.h>

#include <array>
#include <cstdint>
#include <cstdlib>

#include "mtp_rt/error.h"

namespace mtp_rt::tensorrt {
namespace {

constexpr const char* kVariable = "MTP_RT_TENSORRT_LIBRARY";
// Major versions from here on are TensorRT's: RTX counts from 1, and no older TensorRT reads our plans.
constexpr std::int32_t kFirstTensorRt = 10;

[[noreturn]] void refuse(const std::string& problem) {
  throw UnsupportedError("engine 'tensorrt': " + problem + "; name the library's file in " + kVariable);
}

/// "libnvinfer.so.10", "libtensorrt_rtx.so.1".
std::string file_of(const PlansRecord& record) {
  const std::string stem = record.library == "tensorrt" ? "libnvinfer.so." : "libtensorrt_rtx.so.";
  return stem + record.version.substr(0, record.version.find('.'));
}

std::string library_file(const std::string& path, const PlansRecord& record) {
  if (!path.empty()) return path;
  const char* named = std::getenv(kVariable);
  return named != nullptr && *named != '\0' ? named : file_of(record);
}

/// Major, minor, patch and build number of the library `file`.
std::array<std::int32_t, 4> version_of(void* library, const std::string& file) {
  constexpr std::array kFunctions = {"getInferLibMajorVersion", "getInferLibMinorVersion",
                                     "getInferLibPatchVersion", "getInferLibBuildVersion"};
  std::array<std::int32_t, 4> numbers{};
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    using GetNumber = std::int32_t (*)();
    const auto get = reinterpret_cast<GetNumber>(::dlsym(library, kFunctions[i]));
    if (get == nullptr) refuse(file + " is not TensorRT, or older than TensorRT 10 and TensorRT-RTX 1");
    numbers[i] = get();
  }
  return numbers;
}

}  // namespace

Library::Library(const std::string& path, const PlansRecord& record) {
  const std::string file = library_file(path, record);
  handle_ = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle_ == nullptr) {
    const char* reason = ::dlerror();
    refuse("the library of " + record.library + " " + record.version +
           " cannot be opened: " + (reason == nullptr ? file : std::string(reason)));
  }
  const std::array<std::int32_t, 4> numbers = version_of(handle_, file);
  name_ = numbers[0] >= kFirstTensorRt ? "tensorrt" : "tensorrt_rtx";
  for (const std::int32_t number : numbers)
    version_ += (version_.empty() ? "" : ".") + std::to_string(number);
  check_library(record, name_, version_);
}

}  // namespace mtp_rt::tensorrt
