// Whether this build and this machine can use a GPU.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <cstddef>
#include <string>
#include <tuple>
#include <vector>

#include "bindings.h"
#include "engines/cuda/part.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace mtp_rt::bindings {
namespace {

std::string cuda_part(const std::string& library) { return cuda::open_part(library).version; }

std::vector<std::tuple<std::string, std::string, std::size_t>> cuda_devices(const std::string& library) {
  std::vector<std::tuple<std::string, std::string, std::size_t>> devices;
  for (const cuda::Device& device : cuda::open_part(library).devices()) {
    devices.emplace_back(device.name, std::to_string(device.major) + "." + std::to_string(device.minor),
                         device.memory);
  }
  return devices;
}

}  // namespace

void bind_cuda(nb::module_& module) {
  module.def("cuda_part", &cuda_part, "library"_a = "", nb::call_guard<nb::gil_scoped_release>(),
             "The version of the CUDA part, which this opens. library: its file; empty: the one beside the "
             "library.\n\n"
             "Raises:\n    UnsupportedError: this build has none, or the file is another one.");
  module.def("cuda_devices", &cuda_devices, "library"_a = "", nb::call_guard<nb::gil_scoped_release>(),
             "(name, compute capability, bytes of memory) of each GPU that the CUDA part sees.\n\n"
             "Raises:\n    UnsupportedError: there is no CUDA part, no driver or no GPU.");
}

}  // namespace mtp_rt::bindings
