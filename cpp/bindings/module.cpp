#include <nanobind/nanobind.h>

#include "bindings.h"

NB_MODULE(_core, module) {
  module.doc() = "The native runtime.";
  module.def("version", [] { return MTP_RT_VERSION; }, "The version of the runtime.");
  mtp_rt::bindings::bind_errors(module);
  mtp_rt::bindings::bind_engine(module);
  mtp_rt::bindings::bind_cuda(module);
  mtp_rt::bindings::bind_sampling(module);
  mtp_rt::bindings::bind_scheduler(module);
}
