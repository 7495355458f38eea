#include "mtp_rt/error.h"

#include <nanobind/nanobind.h>

#include "bindings.h"

namespace nb = nanobind;

namespace mtp_rt::bindings {

void bind_errors(nb::module_& module) { nb::exception<Error>(module, "Error", PyExc_RuntimeError); }

}  // namespace mtp_rt::bindings
