#include <nanobind/nanobind.h>

NB_MODULE(_core_testing, module) {
  module.doc() = "Native internals for the tests; absent from release wheels.";
}
