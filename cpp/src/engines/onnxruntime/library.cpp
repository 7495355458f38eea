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

std::string library_file(const std::string& path) {
  if (!path.empty()) return path;
  const char* named = std::getenv("MTP_RT_ONNXRUNTIME_LIBRARY");
  return named != nullptr && *named != '\0' ? named : "libonnxruntime.so.1";
}

[[noreturn]] void refuse(const std::string& problem) {
  throw UnsupportedError("engine 'onnxruntime': " + problem + kRemedy);
}

}  // namespace

bool is_out_of_memory(std::string_view message) {
  // Of its own allocators, of CUDA and of CUDA's libraries.
  constexpr std::array<std::string_view, 4> kWords = {"Failed to allocate memory", "out of memory",
                                                      "ALLOC_FAILED", "bad_alloc"};
  return std::ranges::any_of(
      kWords, [message](std::string_view words) { return message.find(words) != std::string_view::npos; });
}

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
  if (status == nullptr) return;
  const std::string problem = message(status);
  const std::string text = doing + ": ONNX Runtime " + version_ + ": " + problem;
  if (is_out_of_memory(problem)) throw CapacityError(text);
  throw EngineError(text);
}

std::vector<std::string> Library::providers() const {
  char** names = nullptr;
  int count = 0;
  check(api_->GetAvailableProviders(&names, &count), "listing execution providers");
  std::vector<std::string> listed(names, names + count);
  check(api_->ReleaseAvailableProviders(names, count), "listing execution providers");
  return listed;
}

}  // namespace mtp_rt::onnxruntime
