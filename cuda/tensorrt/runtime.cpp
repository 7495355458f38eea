#include "tensorrt/runtime.h"

#include <dlfcn.h>

#include <cstdint>

#include "mtp_rt/error.h"

namespace mtp_rt::cuda {
namespace {

constexpr const char* kCreate = "createInferRuntime_INTERNAL";

using Create = void* (*)(void* logger, std::int32_t version) noexcept;

}  // namespace

Runtime::Runtime(void* library) {
  const auto create = reinterpret_cast<Create>(::dlsym(library, kCreate));
  if (create == nullptr) throw EngineError(std::string("TensorRT: the library has no ") + kCreate);
  nvinfer1::ILogger* logger = &logger_;
  runtime_.reset(static_cast<nvinfer1::IRuntime*>(create(logger, NV_TENSORRT_VERSION)));
  if (runtime_ == nullptr) fail("TensorRT does not start");
  runtime_->setGpuAllocator(&allocator_);
}

std::unique_ptr<nvinfer1::ICudaEngine> Runtime::open(const std::string& file,
                                                     std::span<const std::byte> plan) {
  forget_errors();
  std::unique_ptr<nvinfer1::ICudaEngine> engine(runtime_->deserializeCudaEngine(plan.data(), plan.size()));
  if (engine != nullptr) return engine;
  throw_if_memory_ran_out(file);
  throw ModelFormatError(file, "", "TensorRT refuses it: " + reasons());
}

void Runtime::forget_errors() {
  static_cast<void>(logger_.take());
  static_cast<void>(allocator_.take_refused());
}

void Runtime::fail(const std::string& what) {
  throw_if_memory_ran_out(what);
  throw EngineError(what + ": " + reasons());
}

void Runtime::throw_if_memory_ran_out(const std::string& what) {
  const std::uint64_t refused = allocator_.take_refused();
  if (refused == 0) return;
  throw CapacityError(what + ": the GPU's memory does not suffice: TensorRT asked for " +
                      std::to_string(refused) + " bytes more");
}

std::string Runtime::reasons() {
  const std::string text = logger_.take();
  return text.empty() ? "TensorRT gives no reason" : text;
}

}  // namespace mtp_rt::cuda
