#include <nanobind/nanobind.h>

#include "testing/testing.h"

NB_MODULE(_core_testing, module) {
  module.doc() = "Native internals for the tests; absent from release wheels.";
  nanobind::module_::import_("mtp_rt._core");  // registers the library's exceptions
  mtp_rt::testing::bind_io(module);
  mtp_rt::testing::bind_plans(module);
  mtp_rt::testing::bind_plan_device(module);
  mtp_rt::testing::bind_onnxruntime(module);
  mtp_rt::testing::bind_decode(module);
  mtp_rt::testing::bind_fakes(module);
  mtp_rt::testing::bind_kernels(module);
  mtp_rt::testing::bind_device_kernels(module);
  mtp_rt::testing::bind_device_loop(module);
}
