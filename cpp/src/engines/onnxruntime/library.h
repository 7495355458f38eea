// The shared library of an installed ONNX Runtime, opened at run time.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engines/onnxruntime/c_api.h"

namespace mtp_rt::onnxruntime {

/// Whether a message of the library's says that memory did not suffice: there is no error code for it.
[[nodiscard]] bool is_out_of_memory(std::string_view message);

/// The library stays loaded: its threads and its environment outlive us.
class Library {
 public:
  /// Opens `path`; empty: the file that MTP_RT_ONNXRUNTIME_LIBRARY names, or else the system's
  /// libonnxruntime.so.1. Throws UnsupportedError if there is none, it is another library or too old.
  explicit Library(const std::string& path);

  [[nodiscard]] const OrtApi& api() const noexcept { return *api_; }
  [[nodiscard]] const std::string& version() const noexcept { return version_; }  // "1.32.0"

  /// Throws EngineError("`doing`: ...") with the library's message unless `status` is success; CapacityError
  /// where memory did not suffice. Releases it.
  void check(OrtStatus* status, const std::string& doing) const;

  /// The message of a failure, which is released: printable ASCII, others as '?', at most 500 characters.
  [[nodiscard]] std::string message(OrtStatus* status) const;

  /// The execution providers that it was built with: "CPUExecutionProvider", ...
  [[nodiscard]] std::vector<std::string> providers() const;

 private:
  const OrtApi* api_ = nullptr;
  std::string version_;
};

}  // namespace mtp_rt::onnxruntime
