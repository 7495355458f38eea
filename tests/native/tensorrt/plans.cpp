// cuda/tensorrt on a fake GPU: plans of a fake TensorRT do what they compute, and every failure is told by
// kind. With the file of a real TensorRT: it starts, and what it says of a file that is no plan arrives.
#include <dlfcn.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "calls.h"
#include "fake_cuda.h"
#include "fake_tensorrt.h"
#include "loop_checks.h"
#include "mtp_rt/error.h"
#include "tensorrt/entry.h"
#include "tensorrt/plan.h"

namespace mtp_rt::cuda {
namespace {

void check_runs(PlanDevice& device) {
  fake_plan() = testing::usual_plan();
  const auto caches = device.make_caches(kShape);
  const auto plan = open(device);
  expect(plan->tensors().size() == 8, "tensors");
  expect(plan->tensors()[0] == PlanTensor{"tokens", true, PlanType::i64, {-1, -1}}, "the first input");
  expect(plan->tensors()[1].type == PlanType::boolean && plan->tensors()[5].type == PlanType::f16, "types");
  for (const std::int64_t width : {3, 100, 2}) {  // memory grows, and larger memory than needed is no matter
    Call call(caches.get(), 1, width);
    call.run(*plan);
    call.check("width " + std::to_string(width));
  }
  Call second(caches.get(), 2, 2);
  second.call.profile = 1;
  second.run(*plan);
  second.check("profile 1");
  second.run(*plan);
  expect(fake_plan().contexts_made == 2, "one context for each profile that was used");
  second.call.profile = 2;
  expect_error<ArgumentError>("profile: 2", "verify.64.engine has 2", [&] { second.run(*plan); });
}

void check_caches(PlanDevice& device) {
  fake_plan() = testing::usual_plan();
  const auto caches = device.make_caches(kShape);
  const auto plan = open(device);
  Call call(caches.get(), 2, 3);  // tokens 1 2 3, 4 5 6
  call.call.first_slot = 1;
  call.run(*plan);
  call.run(*plan);
  for (std::size_t matrix = 0; matrix < 2; ++matrix) {
    for (const Slot slot : {0, 1, 2}) {
      const int wanted = slot == 0 ? 0 : slot == 1 ? 2 : 8;
      expect(cache_value(*caches, matrix, slot, 1, 0) == wanted, "the cache of slot " + std::to_string(slot));
      expect(cache_value(*caches, matrix, slot, 1, 1) == 0, "zero at first");
    }
  }
  Call one(caches.get(), 1, 1);  // another slot and batch
  one.run(*plan);
  expect(cache_value(*caches, 1, 0, 1, 0) == 1 && cache_value(*caches, 1, 1, 1, 0) == 2, "slot 0 alone");
  for (std::int64_t place = 0; place < kPlaces; ++place) {
    for (const Slot slot : {1, 2})
      cache_value(*caches, 1, slot, 1, place) = static_cast<std::uint16_t>(place);
  }
  caches->keep(2, 3, std::vector<std::int32_t>{0, 1, 4, 6, 7});
  caches->keep(1, 3, std::vector<std::int32_t>{0, 1, 2});  // a chain lies where it belongs
  for (std::int64_t place = 0; place < kPlaces; ++place) {
    const std::int64_t from = place < 5 || place > 7
                                  ? place
                                  : std::vector<std::int64_t>{7, 9, 10}[static_cast<std::size_t>(place - 5)];
    expect(cache_value(*caches, 1, 2, 1, place) == from, "kept place " + std::to_string(place));
    expect(cache_value(*caches, 1, 1, 1, place) == place, "the other slot's place " + std::to_string(place));
  }
  for (const std::vector<std::int32_t>& wrong : {std::vector<std::int32_t>{1}, {0, 2, 2}, {0, 14}}) {
    expect_error<ArgumentError>("offsets: ", "ascend from 0", [&] { caches->keep(0, 2, wrong); });
  }
  expect_error<ArgumentError>("slot: 3", "0 .. 2", [&] { caches->keep(3, 0, {}); });
  const auto odd = device.make_caches({2, 1, 1, 3, kHeadDim});  // 48 bytes
  expect(reinterpret_cast<std::uintptr_t>(&cache_value(*odd, 1, 0, 0, 0)) % 256 == 0,
         "where a matrix begins");
  call.call.first_slot = 2;
  expect_error<ArgumentError>("caches: ", "2 slots from 2", [&] { call.run(*plan); });
  call.call.caches = nullptr;
  expect_error<ArgumentError>("caches: ", "2 matrices", [&] { call.run(*plan); });
}

/// What a device stepper does: shapes and addresses once, then nothing but enqueue().
void check_enqueue(void* library) {
  fake_plan() = testing::usual_plan();
  const auto runtime = std::make_shared<Runtime>(library);
  DeviceCaches caches(runtime, kShape);
  TensorRtPlan plan(runtime, "verify.64.engine", plan_bytes("plan"), kCaches);
  DeviceBuffer<std::int64_t> tokens(2);
  DeviceBuffer<float> logits(2 * kVocab);
  DeviceBuffer<std::byte> others(64);
  Execution& execution = plan.execution(1);
  execution.set_shape("tokens", std::vector<std::int64_t>{2, 1});
  execution.set_shape("wide", std::vector<std::int64_t>{2});
  execution.bind_caches(kCaches, caches, 0, 2);
  execution.check_caches(kCaches);
  expect(execution.shape_of("logits") == std::vector<std::int64_t>{2, 1, kVocab}, "the shape of an output");
  execution.bind("tokens", tokens.data());
  execution.bind("logits", logits.data());
  for (const char* name : {"wide", "states"}) execution.bind(name, others.data());
  cudaStream_t stream = runtime->stream().get();
  for (const std::int64_t token : {5, 7}) {
    tokens.upload(std::vector<std::int64_t>{token, token + 1}, stream);
    execution.enqueue(stream);
    std::vector<float> found(logits.size());
    logits.download(found, stream);
    expect(found[kVocab] == static_cast<float>(10 * (token + 1) + 1000), "an enqueued call");
  }
  expect(cache_value(caches, 0, 1, 1, 0) == 6 + 8, "the caches of enqueued calls");
}

void check_lifetimes(void* library) {
  fake_plan() = testing::usual_plan();
  auto device = open_plan_device(library);
  const auto caches = device->make_caches(kShape);
  const auto plan = open(*device);
  device.reset();
  Call call(caches.get(), 1, 2);
  call.run(*plan);
  call.check("without the device");
}

/// Against `file`, a library of the headers' kind: nothing of it computes here.
void check_library(const char* file) {
  void* library = ::dlopen(file, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return expect(false, ::dlerror());
  const auto device = open_plan_device(library);
  try {
    static_cast<void>(device->open_plan("verify.64.engine", plan_bytes("this is no plan of anybody"), {}));
    expect(false, "a file that is no plan was opened");
  } catch (const Error& error) {
    std::printf("%s\n", error.what());
  }
}

void check_all() {
  void* library = ::dlopen(nullptr, RTLD_NOW);
  {
    const auto device = open_plan_device(library);
    expect(device->name() == "Fake GPU" && device->compute_capability() == "9.0", "the GPU's name");
    check_runs(*device);
    check_caches(*device);
    check_refused_plans(*device);
    check_memory(*device);
    check_failing_calls(*device);
  }
  check_enqueue(library);
  check_lifetimes(library);
  check_loops();
  expect(testing::gpu_allocations() == 0,
         std::to_string(testing::gpu_allocations()) + " allocations were not freed");
  void* other = ::dlopen("libdl.so.2", RTLD_NOW | RTLD_LOCAL);
  expect_error<EngineError>("TensorRT: ", "createInferRuntime_INTERNAL",
                            [&] { static_cast<void>(open_plan_device(other)); });
}

}  // namespace
}  // namespace mtp_rt::cuda

int main(int argc, char** argv) {
  try {
    argc > 1 ? mtp_rt::cuda::check_library(argv[1]) : mtp_rt::cuda::check_all();
  } catch (const std::exception& error) {
    mtp_rt::cuda::expect(false, error.what());
  }
  std::printf("TensorRT %s, %d wrong\n", mtp_rt::cuda::tensorrt_headers(), mtp_rt::cuda::failures);
  return mtp_rt::cuda::failures == 0 ? 0 : 1;
}
