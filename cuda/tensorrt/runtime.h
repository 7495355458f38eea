// An open TensorRT and the stream that its plans run on.
#pragma once

#include <NvInferRuntime.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "runtime/stream.h"
#include "tensorrt/feedback.h"

namespace mtp_rt::cuda {

/// Plans and caches keep it alive. Used by one thread at a time.
class Runtime {
 public:
  /// `library`: an open library whose classes are those of the headers. Throws EngineError if it does not
  /// start.
  explicit Runtime(void* library);

  [[nodiscard]] const Stream& stream() const noexcept { return stream_; }

  /// Throws ModelFormatError if TensorRT refuses the plan, CapacityError if the GPU's memory does not
  /// suffice.
  [[nodiscard]] std::unique_ptr<nvinfer1::ICudaEngine> open(const std::string& file,
                                                            std::span<const std::byte> plan);

  /// Forgets what TensorRT said until now: what fails next has other reasons.
  void forget_errors();

  /// Throws CapacityError if TensorRT asked for memory in vain, else EngineError("`what`: <its errors>").
  [[noreturn]] void fail(const std::string& what);

 private:
  void throw_if_memory_ran_out(const std::string& what);
  [[nodiscard]] std::string reasons();

  Logger logger_;  // the four in this order: each may use those before it until it ends
  Allocator allocator_;
  Stream stream_;
  std::unique_ptr<nvinfer1::IRuntime> runtime_;
};

}  // namespace mtp_rt::cuda
