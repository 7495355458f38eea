// A real plan on a real GPU: on_gpu LIBRARY PLAN. Calls of one row repeat themselves, in another slot and as
// a captured graph too; kept places move. Exit status 77 where there is no GPU.
#include <dlfcn.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <fstream>
#include <iterator>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "expect.h"
#include "mtp_rt/error.h"
#include "runtime/stream.h"
#include "tensorrt/caches.h"
#include "tensorrt/entry.h"
#include "tensorrt/plan.h"

namespace mtp_rt::cuda {
namespace {

constexpr int kSkipped = 77;
constexpr std::int32_t kSlots = 2;
constexpr float kTolerance = 0.01F;

std::vector<char> read(const char* file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

std::size_t bytes_of(PlanType type) {
  return type == PlanType::i64 ? 8 : type == PlanType::f32 ? 4 : type == PlanType::f16 ? 2 : 1;
}

/// The caches of a plan by their names in docs/exporting.md: past.0.key is present.0.key behind the call.
std::vector<PlanCacheNames> cache_names(const std::vector<PlanTensor>& tensors) {
  std::vector<PlanCacheNames> names;
  for (const PlanTensor& tensor : tensors) {
    const std::size_t at = tensor.name.find("past.");
    if (!tensor.is_input || at == std::string::npos) continue;
    names.push_back({tensor.name, tensor.name.substr(0, at) + "present." + tensor.name.substr(at + 5)});
  }
  return names;
}

/// Everything that is no cache, with one for each size that is open: zeros, and true.
struct Values {
  Values(const std::vector<PlanTensor>& tensors, const std::vector<PlanCacheNames>& caches) {
    for (const PlanTensor& tensor : tensors) {
      const bool is_cache = std::ranges::any_of(caches, [&](const PlanCacheNames& names) {
        return tensor.name == names.past || tensor.name == names.present;
      });
      if (is_cache) continue;
      PlanTensor sized = tensor;
      std::size_t bytes = bytes_of(tensor.type);
      for (std::int64_t& size : sized.shape)
        bytes *= static_cast<std::size_t>(size = std::max<std::int64_t>(size, 1));
      all.push_back(sized);
      data.emplace_back(bytes, std::byte{tensor.is_input && tensor.type == PlanType::boolean});
    }
  }

  /// Runs `plan` on them: outputs are overwritten.
  void run(Plan& plan, PlanCaches* caches, Slot slot) {
    std::vector<PlanInput> inputs;
    std::vector<PlanOutput> outputs;
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (all[i].is_input) inputs.push_back({all[i].name, all[i].shape, data[i].data()});
      if (!all[i].is_input) outputs.push_back({all[i].name, data[i]});
    }
    plan.run({0, inputs, outputs, caches, slot, 1});
  }

  std::vector<PlanTensor> all;
  std::vector<std::vector<std::byte>> data;  // of each
};

std::vector<float> floats(std::span<const std::byte> bytes) {
  std::vector<float> numbers(bytes.size() / sizeof(float));
  std::memcpy(numbers.data(), bytes.data(), bytes.size());
  return numbers;
}

/// Outputs of float32 are numbers and those of `once`: nearly, as TensorRT may choose other kernels
/// meanwhile.
void check_outputs(const Values& values, const std::vector<std::vector<std::byte>>& once, const char* what) {
  for (std::size_t i = 0; i < values.all.size(); ++i) {
    if (values.all[i].is_input || values.all[i].type != PlanType::f32) continue;
    const std::vector<float> found = floats(values.data[i]);
    const std::vector<float> wanted = floats(once[i]);
    float largest = 0;
    float difference = 0;
    bool finite = true;
    for (std::size_t k = 0; k < found.size(); ++k) {
      finite = finite && std::isfinite(found[k]) && std::isfinite(wanted[k]);
      largest = std::max(largest, std::abs(wanted[k]));
      difference = std::max(difference, std::abs(found[k] - wanted[k]));
    }
    std::printf("%s: %s differs by %g of %g\n", what, values.all[i].name.c_str(), double{difference},
                double{largest});
    expect(finite && difference <= kTolerance * largest, values.all[i].name);
  }
}

/// The same call with shapes and addresses set once, then as a graph: what a device stepper will do.
void check_capture(Execution& execution, Values& values, const std::vector<PlanCacheNames>& names,
                   const DeviceCaches* caches) {
  const auto expected = values.data;
  const Stream stream;
  std::vector<DeviceBuffer<std::byte>> memory;
  for (std::size_t i = 0; i < values.all.size(); ++i) {
    memory.emplace_back(values.data[i].size());
    memory[i].upload(values.data[i], stream.get());
    if (values.all[i].is_input) execution.set_shape(values.all[i].name, values.all[i].shape);
    execution.bind(values.all[i].name, memory[i].data());
  }
  if (caches != nullptr) execution.bind_caches(names, *caches, 0, 1);
  execution.enqueue(stream.get());
  stream.wait();
  const Graph graph(stream.get(), [&](cudaStream_t captured) { execution.enqueue(captured); });
  for (std::size_t i = 0; i < values.all.size(); ++i) {
    if (!values.all[i].is_input) memory[i].fill(0xFF, stream.get());
  }
  graph.launch(stream.get());
  for (std::size_t i = 0; i < values.all.size(); ++i) memory[i].download(values.data[i], stream.get());
  stream.wait();
  check_outputs(values, expected, "a captured call");
}

void check_keep(DeviceCaches& caches) {
  const PlanCacheShape& shape = caches.shape();
  const auto row = static_cast<std::size_t>(shape.head_dim);
  const auto places = static_cast<std::size_t>(shape.places);
  std::vector<std::uint16_t> values(static_cast<std::size_t>(shape.heads) * places * row);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<std::uint16_t>(i / row);
  const auto last = static_cast<std::size_t>(shape.matrices - 1);
  check(cudaMemcpy(caches.at(last, 1), values.data(), values.size() * 2, cudaMemcpyHostToDevice),
        "writing a cache");
  caches.keep(1, 2, std::vector<std::int32_t>{0, 1, 3, 6});
  check(cudaDeviceSynchronize(), "moving places");
  std::vector<std::uint16_t> found(values.size());
  check(cudaMemcpy(found.data(), caches.at(last, 1), values.size() * 2, cudaMemcpyDeviceToHost),
        "reading a cache");
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t place = i / row % places;
    const std::size_t moved = place == 4 ? 1 : place == 5 ? 3 : 0;  // 5 to 4, 8 to 5
    if (found[i] != values[i + moved * row]) return expect(false, "kept place " + std::to_string(place));
  }
}

void check_plan(PlanDevice& device, const char* file) {
  const std::vector<char> bytes = read(file);
  const auto open = [&](const std::vector<PlanCacheNames>& names) {
    return device.open_plan(file, std::as_bytes(std::span(bytes)), names);
  };
  const std::vector<PlanTensor> tensors = open({})->tensors();
  const std::vector<PlanCacheNames> names = cache_names(tensors);
  std::unique_ptr<PlanCaches> caches;
  if (!names.empty()) {
    const auto past = std::ranges::find(tensors, names[0].past, &PlanTensor::name);
    caches = device.make_caches(
        {static_cast<std::int32_t>(names.size()), kSlots, static_cast<std::int32_t>(past->shape[1]),
         static_cast<std::int32_t>(past->shape[2]), static_cast<std::int32_t>(past->shape[3])});
  }
  const auto plan = open(names);
  Values values(tensors, names);
  values.run(*plan, caches.get(), 0);
  const auto once = values.data;
  values.run(*plan, caches.get(), 0);
  check_outputs(values, once, "the same call again");
  values.run(*plan, caches.get(), kSlots - 1);
  check_outputs(values, once, "the same call in another slot");
  auto* device_caches = dynamic_cast<DeviceCaches*>(caches.get());
  check_capture(dynamic_cast<TensorRtPlan&>(*plan).execution(0), values, names, device_caches);
  if (device_caches != nullptr) check_keep(*device_caches);
}

}  // namespace
}  // namespace mtp_rt::cuda

int main(int argc, char** argv) {
  using namespace mtp_rt::cuda;
  void* library = argc == 3 ? ::dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : nullptr;
  if (library == nullptr) return expect(false, "usage: on_gpu LIBRARY PLAN"), 2;
  try {
    const auto device = open_plan_device(library);
    check_plan(*device, argv[2]);
    std::printf("%s: %d wrong\n", device->name().c_str(), failures);
  } catch (const mtp_rt::UnsupportedError& error) {
    std::printf("skipped: %s\n", error.what());
    return kSkipped;
  } catch (const std::exception& error) {
    expect(false, error.what());
  }
  return failures == 0 ? 0 : 1;
}
