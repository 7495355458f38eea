// The shared library of an installed ONNX Runtime, opened at run time.
#pragma once

#include <string>

#include "engines/onnxruntime/c_api.h"

namespace mtp_rt::onnxruntime {

/// The library stays loaded: its threads and its environment outlive us.
class Library {
 public:
  /// Opens `path`; empty: the file that MTP_RT_ONNXRUNTIME_LIBRARY names, or else the system's
  /// libonnxruntime.so.1. Throws UnsupportedError if there is none, it is another library or too old.
  explicit Library(const std::string& path);

  [[nodiscard]] const OrtApi& api() const noexcept { return *api_; }
  [[nodiscard]] const std::string& version() const noexcept { return version_; }  // "1.32.0"

  /// Throws EngineError("`doing`: ...") with the library's message unless `status` is success. Releases it.
  void check(OrtStatus* status, const std::string& doing) const;

  /// The message of a failure, which is released: printable ASCII, others as '?', at most 500 characters.
  [[nodiscard]] std::string message(OrtStatus* status) const;

  /// Throws ArgumentError unless `provider` names an execution provider that mtp-rt knows, UnsupportedError
  /// where the library or this engine lacks it.
  void check_provider(const std::string& provider) const;

 private:
  const OrtApi* api_ = nullptr;
  std::string version_;
};

}  // namespace mtp_rt::onnxruntime
