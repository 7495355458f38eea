#include "engines/onnxruntime/provider.h"

#include <algorithm>
#include <array>
#include <vector>

#include "engines/onnxruntime/owned.h"
#include "mtp_rt/error.h"

namespace mtp_rt::onnxruntime {
namespace {

constexpr std::array kProviders = {
    Provider{"cpu", "CPUExecutionProvider", nullptr},
    Provider{"cuda", "CUDAExecutionProvider", "Cuda"},
    Provider{"tensorrt-rtx", "NvTensorRTRTXExecutionProvider", "Cuda"},
};
constexpr const char* kWheel = "'onnxruntime-gpu[cuda,cudnn]>=1.30'";

std::string join(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::string quoted(const Provider& provider) { return "provider '" + std::string(provider.option) + "'"; }

// Products of float32 numbers stay products of float32 numbers; caches are large and ask for what they need.
Owned<OrtCudaOptions> cuda_options(const Library& library) {
  const OrtApi& api = library.api();
  auto options = make_owned(library, api.ReleaseCUDAProviderOptions, "options of CUDA",
                            [&](OrtCudaOptions** out) { return api.CreateCUDAProviderOptions(out); });
  constexpr std::array keys = {"device_id", "use_tf32", "arena_extend_strategy"};
  constexpr std::array values = {"0", "0", "kSameAsRequested"};
  library.check(api.UpdateCUDAProviderOptions(options.get(), keys.data(), values.data(), keys.size()),
                "options of CUDA");
  return options;
}

}  // namespace

const Provider& find_provider(const Library& library, const std::string& option) {
  const auto* known = std::ranges::find(kProviders, std::string_view(option), &Provider::option);
  if (known == kProviders.end()) {
    std::vector<std::string> names;
    for (const Provider& provider : kProviders) names.emplace_back(provider.option);
    throw ArgumentError("provider is '" + option + "'; expected one of " + join(names));
  }
  if (known->option == "tensorrt-rtx") {
    throw UnsupportedError(quoted(*known) +
                           ": this engine cannot run on it yet; use provider 'cuda', or engine 'tensorrt', "
                           "which runs plans of TensorRT-RTX");
  }
  const std::vector<std::string> available = library.providers();
  if (std::ranges::find(available, known->name) == available.end()) {
    throw UnsupportedError(quoted(*known) + ": this ONNX Runtime " + library.version() + " has no " +
                           std::string(known->name) + ", only " + join(available) +
                           "; use provider 'cpu', or pip uninstall onnxruntime and pip install " + kWheel);
  }
  return *known;
}

void append_provider(const Library& library, const Provider& provider, OrtSessionOptions* options) {
  if (provider.option == "cpu") return;  // every session has it
  try {
    const auto cuda = cuda_options(library);
    library.check(library.api().SessionOptionsAppendExecutionProvider_CUDA_V2(options, cuda.get()),
                  "opening the provider");
  } catch (const EngineError& error) {
    refuse_provider(library, provider, error.what());
  }
}

void refuse_provider(const Library& library, const Provider& provider, const std::string& message) {
  throw UnsupportedError(quoted(provider) + ": ONNX Runtime " + library.version() +
                         " cannot use it on this machine; it needs an NVIDIA GPU, its driver and the "
                         "libraries of CUDA that pip install " +
                         kWheel + " brings. " + message);
}

}  // namespace mtp_rt::onnxruntime
