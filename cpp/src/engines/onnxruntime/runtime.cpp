#include "engines/onnxruntime/runtime.h"

namespace mtp_rt::onnxruntime {
namespace {

Owned<OrtMemoryInfo> host_memory(const Library& library) {
  return make_owned(library, library.api().ReleaseMemoryInfo, "memory", [&](OrtMemoryInfo** out) {
    return library.api().CreateCpuMemoryInfo(kDeviceAllocator, kDefaultMemory, out);
  });
}

Owned<OrtMemoryInfo> device_memory(const Library& library, const Provider& provider) {
  if (provider.memory == nullptr) return host_memory(library);
  return make_owned(library, library.api().ReleaseMemoryInfo, "memory", [&](OrtMemoryInfo** out) {
    return library.api().CreateMemoryInfo(provider.memory, kDeviceAllocator, 0, kDefaultMemory, out);
  });
}

}  // namespace

Runtime::Runtime(const RuntimeOptions& options)
    : library_(options.library),
      provider_(find_provider(library_, options.provider)),
      threads_(options.threads),
      caches_(options.device_caches || provider_.memory != nullptr ? Place::device : Place::host),
      env_(make_owned(library_, api().ReleaseEnv, "environment",
                      [this](OrtEnv** out) { return api().CreateEnv(kLogFatal, "mtp-rt", out); })),
      host_(host_memory(library_)),
      device_(device_memory(library_, provider_)) {}

Owned<OrtSessionOptions> Runtime::session_options() const {
  const auto check = [&](OrtStatus* status) { library_.check(status, "session options"); };
  auto options = make_owned(library_, api().ReleaseSessionOptions, "session options",
                            [&](OrtSessionOptions** out) { return api().CreateSessionOptions(out); });
  check(api().SetIntraOpNumThreads(options.get(), threads_));
  check(api().SetInterOpNumThreads(options.get(), 1));
  check(api().AddSessionConfigEntry(options.get(), "session.load_model_format", "ONNX"));
  // Threads of one graph would spin beside those of the next.
  check(api().AddSessionConfigEntry(options.get(), "session.force_spinning_stop", "1"));
  append_provider(library_, provider_, options.get());
  return options;
}

Owned<OrtValue> Runtime::tensor(Place place, void* data, std::size_t bytes,
                                std::span<const std::int64_t> shape, ElementType type) const {
  return make_owned(library_, api().ReleaseValue, "tensor", [&](OrtValue** out) {
    return api().CreateTensorWithDataAsOrtValue(memory(place), data, bytes, shape.data(), shape.size(), type,
                                                out);
  });
}

}  // namespace mtp_rt::onnxruntime
