#include "engines/cuda/part.h"

#include <dlfcn.h>

#include <filesystem>
#include <string_view>

#include "mtp_rt/error.h"

namespace mtp_rt::cuda {
namespace {

constexpr const char* kFile = "libmtp_rt_cuda.so";

/// Where this code was loaded from.
std::filesystem::path library_folder() {
  Dl_info info{};
  if (::dladdr(reinterpret_cast<const void*>(&open_part), &info) == 0 || info.dli_fname == nullptr) return {};
  return std::filesystem::path(info.dli_fname).parent_path();
}

[[noreturn]] void refuse(const std::string& problem) { throw UnsupportedError("CUDA part: " + problem); }

}  // namespace

const PartApi& open_part(const std::string& path) {
  const std::string file = path.empty() ? (library_folder() / kFile).string() : path;
  if (path.empty() && !std::filesystem::exists(file)) {
    refuse("this build has none (no " + file + "); build with MTP_RT_CUDA=ON, which needs nvcc 13");
  }
  void* library = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* reason = ::dlerror();
    refuse(std::string("it cannot be opened: ") + (reason == nullptr ? file.c_str() : reason));
  }
  const auto get_api = reinterpret_cast<GetPartApi>(::dlsym(library, kPartEntry));
  const PartApi* api = get_api == nullptr ? nullptr : get_api();
  if (api == nullptr) refuse(file + " is another library");
  if (std::string_view(api->version) != MTP_RT_VERSION) {
    refuse(file + " is of version " + api->version + ", the library of " MTP_RT_VERSION +
           "; install both from one build");
  }
  return *api;
}

}  // namespace mtp_rt::cuda
