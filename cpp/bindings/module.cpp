#include <malloc.h>
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <span>

#include "base/sha256.h"

#include "bindings.h"

namespace nb = nanobind;
using namespace nb::literals;

NB_MODULE(_core, module) {
#ifdef NDEBUG
  nb::set_leak_warnings(false);  // an interpreter may end before what it holds: nothing that users can mend
#endif
  module.doc() = "The native runtime.";
  module.def("version", [] { return MTP_RT_VERSION; }, "The version of the runtime.");
  module.def(
      "sha256",
      [](const nb::bytes& content) {
        return mtp_rt::sha256(std::as_bytes(std::span(content.c_str(), content.size())));
      },
      "content"_a, "The SHA-256 of bytes, in hexadecimal.");
  module.def(
      "give_memory_back",
      [] {
#ifdef __GLIBC__
        malloc_trim(0);
#endif
      },
      "Returns memory that was freed in this process to the system.");
  mtp_rt::bindings::bind_errors(module);
  mtp_rt::bindings::bind_engine(module);
  mtp_rt::bindings::bind_cuda(module);
  mtp_rt::bindings::bind_sampling(module);
  mtp_rt::bindings::bind_scheduler(module);
}
