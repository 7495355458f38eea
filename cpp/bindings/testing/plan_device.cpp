// The tensorrt engine over a GPU that is written in Python.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <cstring>
#include <stdexcept>
#include <tuple>
#include <utility>

#include "engines/cuda/plans.h"
#include "engines/tensorrt/engine.h"
#include "engines/tensorrt/plans_record.h"
#include "testing/host_plan_loop.h"
#include "testing/testing.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace mtp_rt::testing {
namespace {

/// A Python object, used and dropped under the lock that Python wants held.
class Held {
 public:
  explicit Held(nb::object object) : object_(std::move(object)) {}
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  ~Held() {
    const nb::gil_scoped_acquire lock;
    object_.reset();
  }

  [[nodiscard]] const nb::object& get() const noexcept { return object_; }

 private:
  nb::object object_;
};

class PythonCaches final : public cuda::PlanCaches {
 public:
  explicit PythonCaches(nb::object caches) : caches_(std::move(caches)) {}

  void keep(Slot slot, std::int32_t base, std::span<const std::int32_t> offsets) override {
    const nb::gil_scoped_acquire lock;
    get().attr("keep")(slot, base, std::vector<std::int32_t>(offsets.begin(), offsets.end()));
  }

  [[nodiscard]] const nb::object& get() const noexcept { return caches_.get(); }

 private:
  Held caches_;
};

cuda::PlanType type_of(const std::string& name) {
  if (name == "float32") return cuda::PlanType::f32;
  if (name == "float16") return cuda::PlanType::f16;
  if (name == "int64") return cuda::PlanType::i64;
  return name == "bool" ? cuda::PlanType::boolean : cuda::PlanType::other;
}

nb::bytes bytes_of(const void* data, std::size_t size) { return nb::bytes(data, size); }

/// Inputs cross as (shape, bytes), outputs as bytes: what a copy to and from a GPU would move.
class PythonPlan final : public cuda::Plan {
 public:
  explicit PythonPlan(nb::object plan) : plan_(std::move(plan)) {
    using Declared = std::vector<std::tuple<std::string, bool, std::string, std::vector<std::int64_t>>>;
    for (auto& [name, is_input, type, shape] : nb::cast<Declared>(plan_.get().attr("tensors"))) {
      tensors_.push_back({name, is_input, type_of(type), shape});
    }
  }

  [[nodiscard]] const std::vector<cuda::PlanTensor>& tensors() const noexcept override { return tensors_; }

  void run(const cuda::PlanCall& call) override {
    const nb::gil_scoped_acquire lock;
    nb::dict inputs;
    for (const cuda::PlanInput& input : call.inputs) {
      std::size_t size = element_size(input.name);
      for (const std::int64_t extent : input.shape) size *= static_cast<std::size_t>(extent);
      inputs[input.name.c_str()] = nb::make_tuple(
          std::vector<std::int64_t>(input.shape.begin(), input.shape.end()), bytes_of(input.data, size));
    }
    std::vector<std::string> wanted;
    for (const cuda::PlanOutput& output : call.outputs) wanted.push_back(output.name);
    const auto* caches = dynamic_cast<const PythonCaches*>(call.caches);
    const auto made = nb::cast<std::vector<nb::bytes>>(
        plan_.get().attr("run")(call.profile, inputs, wanted, caches == nullptr ? nb::none() : caches->get(),
                                nb::make_tuple(call.first_slot, call.batch)));
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      if (made.at(i).size() != call.outputs[i].data.size()) throw nb::value_error(wanted[i].c_str());
      std::memcpy(call.outputs[i].data.data(), made[i].c_str(), made[i].size());
    }
  }

 private:
  [[nodiscard]] std::size_t element_size(const std::string& name) const {
    for (const cuda::PlanTensor& tensor : tensors_) {
      if (tensor.name == name)
        return tensor.type == cuda::PlanType::i64 ? 8 : tensor.type == cuda::PlanType::f32 ? 4 : 1;
    }
    throw nb::key_error(name.c_str());
  }

  Held plan_;
  std::vector<cuda::PlanTensor> tensors_;
};

class PythonDevice final : public cuda::PlanDevice {
 public:
  PythonDevice(nb::object device, bool has_loop) : device_(std::move(device)), has_loop_(has_loop) {}

  [[nodiscard]] std::string name() const override { return text("name"); }
  [[nodiscard]] std::string compute_capability() const override { return text("compute_capability"); }

  [[nodiscard]] std::unique_ptr<cuda::PlanCaches> make_caches(const cuda::PlanCacheShape& shape) override {
    const nb::gil_scoped_acquire lock;
    return std::make_unique<PythonCaches>(device_.get().attr("make_caches")(
        shape.matrices, shape.slots, shape.heads, shape.places, shape.head_dim));
  }

  [[nodiscard]] std::unique_ptr<cuda::Plan> open_plan(const std::string& file,
                                                      std::span<const std::byte> plan,
                                                      std::span<const cuda::PlanCacheNames> caches) override {
    const nb::gil_scoped_acquire lock;
    std::vector<std::pair<std::string, std::string>> names;
    for (const cuda::PlanCacheNames& cache : caches) names.emplace_back(cache.past, cache.present);
    return std::make_unique<PythonPlan>(
        device_.get().attr("open_plan")(file, bytes_of(plan.data(), plan.size()), names));
  }

  [[nodiscard]] std::unique_ptr<DeviceLoop> make_loop(const cuda::PlanLoopModel& model) override {
    return has_loop_ ? std::make_unique<HostPlanLoop>(model) : nullptr;
  }

 private:
  [[nodiscard]] std::string text(const char* attribute) const {
    const nb::gil_scoped_acquire lock;
    return nb::cast<std::string>(device_.get().attr(attribute));
  }

  Held device_;
  bool has_loop_;
};

std::shared_ptr<Engine> open_plans(nb::object device, const std::string& path, std::int32_t slots,
                                   std::int32_t context, std::int32_t max_rows, bool loop) {
  auto held = std::make_unique<PythonDevice>(std::move(device), loop);
  const nb::gil_scoped_release release;
  const std::shared_ptr<const ModelDir> model = ModelDir::open(path);
  EngineOptions options;
  options.engine = "tensorrt";
  options.slots = slots;
  options.context = context;
  options.max_rows = max_rows;
  return tensorrt::open_on(std::move(held), model, tensorrt::read_plans_record(*model), options);
}

}  // namespace

void bind_plan_device(nb::module_& module) {
  module.def(
      "open_plans", &open_plans, "device"_a, "model"_a, nb::kw_only(), "slots"_a = 1, "context"_a = 0,
      "max_rows"_a = 128, "loop"_a = false,
      "Engine 'tensorrt' on a device with make_caches() and open_plan(); loop: it also runs the loop.");
  module.def(
      "in_loop",
      [](Engine& engine, Slot slot) {
        const DeviceLoop* loop = engine.device_loop();
        if (loop == nullptr) throw std::runtime_error("the engine has no loop");
        return loop->holds(slot);
      },
      "engine"_a, "slot"_a, "Whether the slot's sequence runs in the device's loop.");
}

}  // namespace mtp_rt::testing
