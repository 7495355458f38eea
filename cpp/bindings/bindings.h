// One function per subject; each adds its names to the module.
#pragma once

#include <nanobind/nanobind.h>

namespace mtp_rt::bindings {

void bind_errors(nanobind::module_& module);
void bind_cuda(nanobind::module_& module);
void bind_engine(nanobind::module_& module);
void bind_sampling(nanobind::module_& module);
void bind_scheduler(nanobind::module_& module);

}  // namespace mtp_rt::bindings
