// One function per subject; each adds its names to _core_testing.
#pragma once

#include <nanobind/nanobind.h>

namespace mtp_rt::testing {

void bind_io(nanobind::module_& module);
void bind_plans(nanobind::module_& module);
void bind_plan_device(nanobind::module_& module);
void bind_onnxruntime(nanobind::module_& module);
void bind_decode(nanobind::module_& module);
void bind_fakes(nanobind::module_& module);
void bind_kernels(nanobind::module_& module);
void bind_device_kernels(nanobind::module_& module);
void bind_device_loop(nanobind::module_& module);

}  // namespace mtp_rt::testing
