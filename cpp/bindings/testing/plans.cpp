// The record of a model directory's TensorRT plans as Python values, and what can open them.
#include <dlfcn.h>
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>

#include <memory>
#include <optional>
#include <string>

#include "engines/cuda/part.h"
#include "engines/tensorrt/headers.h"
#include "engines/tensorrt/library.h"
#include "engines/tensorrt/plans_record.h"
#include "testing/testing.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace mtp_rt::testing {
namespace {

nb::tuple sizes(const tensorrt::SizeRange& range) {
  return nb::make_tuple(range.least, range.usual, range.most);
}

nb::dict plan_dict(const tensorrt::Plan& plan) {
  nb::list profiles;
  for (const tensorrt::Profile& profile : plan.profiles) {
    profiles.append(nb::make_tuple(sizes(profile.batch), sizes(profile.width), sizes(profile.rows)));
  }
  nb::dict values;
  values["file"] = plan.file;
  values["graph"] = plan.graph;
  values["context"] = plan.context;
  values["capacity"] = plan.capacity;
  values["bytes"] = plan.bytes;
  values["sha256"] = plan.sha256;
  values["profiles"] = profiles;
  return values;
}

nb::dict record_dict(const tensorrt::PlansRecord& record) {
  nb::list plans;
  for (const tensorrt::Plan& plan : record.plans) plans.append(plan_dict(plan));
  nb::dict values;
  values["library"] = record.library;
  values["version"] = record.version;
  values["gpu"] =
      record.gpu ? nb::object(nb::make_tuple(record.gpu->name, record.gpu->compute_capability)) : nb::none();
  values["weights_sha256"] = record.weights_sha256;
  values["batch"] = record.batch;
  values["step_width"] = record.step_width;
  values["prompt_width"] = record.prompt_width;
  values["plans"] = plans;
  return values;
}

nb::tuple open_plan_device(const std::string& library, const std::string& part) {
  const cuda::PartApi& api = cuda::open_part(part);
  void* handle = ::dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) throw nb::value_error(library.c_str());
  const std::unique_ptr<cuda::PlanDevice> device = api.open_plan_device(handle);
  return nb::make_tuple(device->name(), device->compute_capability());
}

}  // namespace

void bind_plans(nb::module_& module) {
  nb::class_<tensorrt::PlansRecord>(module, "PlansRecord")
      .def_static(
          "read", [](const ModelDir& model) { return tensorrt::read_plans_record(model); }, "model"_a)
      .def_prop_ro("values", &record_dict)
      .def("check_library", &tensorrt::check_library, "library"_a, "version"_a)
      .def("check_gpu", &tensorrt::check_gpu, "compute_capability"_a)
      .def(
          "plan_for",
          [](const tensorrt::PlansRecord& record, std::string_view graph, std::int32_t context) {
            return tensorrt::plan_for(record, graph, context).file;
          },
          "graph"_a, "context"_a, "The file of the plan.")
      .def(
          "profile_for",
          [](const tensorrt::PlansRecord& record, std::size_t plan, std::int32_t batch, std::int32_t width,
             std::int32_t rows) { return tensorrt::profile_for(record.plans.at(plan), batch, width, rows); },
          "plan"_a, "batch"_a, "width"_a, "rows"_a);
  module.def(
      "open_tensorrt",
      [](const std::string& path, const tensorrt::PlansRecord& record) {
        const tensorrt::Library library(path, record);
        return nb::make_tuple(library.name(), library.version());
      },
      "path"_a, "record"_a, "(name, version) of the library.");
  module.def("check_tensorrt_headers", &tensorrt::check_headers, "headers"_a, "library"_a, "version"_a);
  module.def(
      "tensorrt_headers",
      [](const std::string& part) -> std::optional<std::string> {
        const char* version = cuda::open_part(part).tensorrt_headers;
        return version == nullptr ? std::nullopt : std::optional<std::string>(version);
      },
      "part"_a = "", "The version of the headers that a CUDA part was built with; None: without any.");
  module.def("open_plan_device", &open_plan_device, "library"_a, "part"_a = "",
             "(name, compute capability) of the GPU on which a CUDA part opens a library of TensorRT.");
}

}  // namespace mtp_rt::testing
