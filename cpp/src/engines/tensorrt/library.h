// The shared library of an installed TensorRT or TensorRT-RTX, opened at run time.
#pragma once

#include <string>

#include "engines/tensorrt/plans_record.h"

namespace mtp_rt::tensorrt {

/// The library stays loaded: its threads outlive us.
///
/// TensorRT's classes are called through tables of virtual functions, which differ between versions: nothing
/// but the C functions that tell the version is called before they fit.
class Library {
 public:
  /// Opens `path`; empty: the file that MTP_RT_TENSORRT_LIBRARY names, or else the system's library of the
  /// kind and major version that built the plans of `record`. Throws UnsupportedError if there is none, it is
  /// another library, or not the one that built the plans.
  Library(const std::string& path, const PlansRecord& record);

  /// As dlopen() gave it.
  [[nodiscard]] void* handle() const noexcept { return handle_; }

  [[nodiscard]] const std::string& name() const noexcept { return name_; }        // as in the record
  [[nodiscard]] const std::string& version() const noexcept { return version_; }  // "10.15.1.29"

 private:
  void* handle_ = nullptr;
  std::string name_;
  std::string version_;
};

}  // namespace mtp_rt::tensorrt
