// The environment and options that all graphs of an engine share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "engines/onnxruntime/library.h"
#include "engines/onnxruntime/owned.h"
#include "engines/onnxruntime/provider.h"

namespace mtp_rt::onnxruntime {

/// Where bytes lie: with the CPU, or with the provider's device.
enum class Place { host, device };

struct RuntimeOptions {
  std::string library;
  std::string provider = "cpu";
  int threads = 1;
  bool device_caches = false;  // also where the provider computes in host memory
};

class Runtime {
 public:
  /// Throws as Library() and find_provider() do.
  explicit Runtime(const RuntimeOptions& options);

  [[nodiscard]] const Library& library() const noexcept { return library_; }
  [[nodiscard]] const OrtApi& api() const noexcept { return library_.api(); }
  [[nodiscard]] const OrtEnv* env() const noexcept { return env_.get(); }
  [[nodiscard]] const Provider& provider() const noexcept { return provider_; }

  /// Where caches lie. What is bound from elsewhere is copied when it is bound.
  [[nodiscard]] Place caches() const noexcept { return caches_; }
  [[nodiscard]] const OrtMemoryInfo* memory(Place place) const noexcept {
    return place == Place::host ? host_.get() : device_.get();
  }

  /// Options of a session that runs on the provider. Throws as append_provider() does.
  [[nodiscard]] Owned<OrtSessionOptions> session_options() const;

  /// Memory of ours as a tensor.
  [[nodiscard]] Owned<OrtValue> tensor(Place place, void* data, std::size_t bytes,
                                       std::span<const std::int64_t> shape, ElementType type) const;

 private:
  Library library_;
  const Provider& provider_;
  int threads_;
  Place caches_;
  Owned<OrtEnv> env_;
  Owned<OrtMemoryInfo> host_;
  Owned<OrtMemoryInfo> device_;
};

}  // namespace mtp_rt::onnxruntime
