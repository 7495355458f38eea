#include "engines/onnxruntime/library.h"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "mtp_rt/error.h"

namespace mtp_rt::onnxruntime {
namespace {

// Before, writing a cache in place overran memory; before 25 there was no TensorScatter.
constexpr std::uint32_t kApiVersion = 30;
constexpr const char* kRemedy =
    "; pip install 'onnxruntime>=1.30', or name the library's file in MTP_RT_ONNXRUNTIME_LIBRARY";

constexpr std::size_t kMaxMessage = 500;

struct Provider {
  std::string_view option;
  std::string_view name;  // as the library lists it
};
constexpr std::array kProviders = {
    Provider{"cpu", "CPUExecutionProvider"},
    Provider{"cuda", "CUDAExecutionProvider"},
    Provider{"tensorrt-rtx", "NvTensorRTRTXExecutionProvider"},
};

std::string library_file(const std::string& path) {
  if (!path.empty()) return path;
  const char* named = std::getenv("MTP_RT_ONNXRUNTIME_LIBRARY");
  return named != nullptr && *named != '\0' ? named : "libonnxruntime.so.1";
}

[[noreturn]] void refuse(const std::string& problem) {
  throw UnsupportedError("engine 'onnxruntime': " + problem + kRemedy);
}

std::string join(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::vector<std::string> available_providers(const Library& library) {
  char** names = nullptr;
  int count = 0;
  library.check(library.api().GetAvailableProviders(&names, &count), "listing execution providers");
  std::vector<std::string> providers(names, names + count);
  library.check(library.api().ReleaseAvailableProviders(names, count), "listing execution providers");
  return providers;
}

}  // namespace

Library::Library(const std::string& path) {
  const std::string file = library_file(path);
  void* library = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* reason = ::dlerror();
    refuse(std::string("the library cannot be opened: ") + (reason == nullptr ? file.c_str() : reason));
  }
  using GetApiBase = const OrtApiBase* (*)();
  const auto get_api_base = reinterpret_cast<GetApiBase>(::dlsym(library, "OrtGetApiBase"));
  const OrtApiBase* base = get_api_base == nullptr ? nullptr : get_api_base();
  if (base == nullptr) refuse(file + " is not ONNX Runtime");
  version_ = base->GetVersionString();
  api_ = base->GetApi(kApiVersion);
  if (api_ == nullptr) {
    refuse(file + " is ONNX Runtime " + version_ + ", which is too old: the graphs need 1." +
           std::to_string(kApiVersion) + " or newer");
  }
}

std::string Library::message(OrtStatus* status) const {
  std::string text(std::string_view(api_->GetErrorMessage(status)).substr(0, kMaxMessage));
  api_->ReleaseStatus(status);
  // Names in a damaged graph stand in it as they are.
  std::ranges::replace_if(text, [](char c) { return c < ' ' || c > '~'; }, '?');
  return text;
}

void Library::check(OrtStatus* status, const std::string& doing) const {
  if (status != nullptr) throw EngineError(doing + ": ONNX Runtime " + version_ + ": " + message(status));
}

void Library::check_provider(const std::string& provider) const {
  const auto* known = std::ranges::find(kProviders, std::string_view(provider), &Provider::option);
  if (known == kProviders.end()) {
    std::vector<std::string> names;
    for (const Provider& p : kProviders) names.emplace_back(p.option);
    throw ArgumentError("provider is '" + provider + "'; expected one of " + join(names));
  }
  const std::vector<std::string> available = available_providers(*this);
  if (std::ranges::find(available, known->name) == available.end()) {
    throw UnsupportedError("provider '" + provider + "': this ONNX Runtime " + version_ + " has no " +
                           std::string(known->name) + ", only " + join(available) +
                           "; use provider 'cpu' or install a build that has it");
  }
  if (provider != "cpu") {
    throw UnsupportedError("provider '" + provider +
                           "': the engine keeps its caches in host memory and runs on the CPU alone so far; "
                           "use provider 'cpu'");
  }
}

}  // namespace mtp_rt::onnxruntime
