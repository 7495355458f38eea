// What fails in cuda/tensorrt, and as what.
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "calls.h"
#include "fake_cuda.h"
#include "fake_tensorrt.h"
#include "mtp_rt/error.h"

namespace mtp_rt::cuda {

using testing::gpu_free_bytes;

void check_refused_plans(PlanDevice& device) {
  const std::string file = "verify.64.engine: ";
  fake_plan() = testing::usual_plan();
  expect_error<ModelFormatError>("x: ", "TensorRT refuses it: no plan of ours",
                                 [&] { static_cast<void>(device.open_plan("x", plan_bytes("plans"), {})); });
  expect_error<ModelFormatError>(file + "past_2: ", "no input",
                                 [&] { open(device, {{"past_2", "present_1"}}); });
  expect_error<ModelFormatError>(file + "past_1: ", "no output",
                                 [&] { open(device, {{"past_1", "past_1"}}); });
  expect_error<ModelFormatError>(file + "tokens: ", "no cache",
                                 [&] { open(device, {{"tokens", "present_1"}}); });
  fake_plan().tensors[7].shape[2] = kPlaces + 1;
  expect_error<ModelFormatError>(file + "present_1: ", "another shape", [&] { open(device); });
  for (const auto& spoil : std::vector<void (*)(testing::FakeTensor&)>{
           [](testing::FakeTensor& tensor) { tensor.type = nvinfer1::DataType::kBF16; },
           [](testing::FakeTensor& tensor) { tensor.shape[2] = -1; },
           [](testing::FakeTensor& tensor) { tensor.shape.pop_back(); }}) {
    fake_plan() = testing::usual_plan();
    spoil(fake_plan().tensors[2]);
    expect_error<ModelFormatError>(file + "past_0: ", "no cache", [&] { open(device); });
  }
  fake_plan() = testing::usual_plan();
  fake_plan().tensors[4].type = nvinfer1::DataType::kINT4;
  expect_error<ModelFormatError>(file + "logits: ", "smaller than a byte", [&] { open(device); });
  for (const char* name : {"", "logits\x1b[2J"}) {
    fake_plan() = testing::usual_plan();
    fake_plan().tensors[4].name = name;
    expect_error<ModelFormatError>(file + "has a tensor", "not plain text", [&] { open(device); });
  }
  fake_plan() = testing::usual_plan();
  fake_plan().tensors[1].decides_shapes = true;
  expect_error<ModelFormatError>(file + "wide: ", "host's memory", [&] { open(device); });
}

void check_memory(PlanDevice& device) {
  fake_plan() = testing::usual_plan();
  const std::size_t all = gpu_free_bytes();
  gpu_free_bytes() = 2500;
  fake_plan().weights = 6000;
  expect_error<CapacityError>("verify.64.engine: ", "6000 bytes", [&] { open(device); });
  fake_plan().weights = 0;
  fake_plan().scratch = 6000;
  expect_error<CapacityError>("verify.64.engine: ", "out of memory", [&] { open(device); });
  expect_error<CapacityError>("", "out of memory", [&] { static_cast<void>(device.make_caches(kShape)); });
  fake_plan().scratch = 0;
  std::erase_if(fake_plan().tensors, [](const auto& tensor) { return tensor.shape.size() == 4; });
  const auto plan = open(device, {});
  Call call(nullptr, 1, 1000);
  expect_error<CapacityError>("verify.64.engine: ", "out of memory", [&] { call.run(*plan); });
  gpu_free_bytes() += all - 2500;
  expect_error<CapacityError>("caches: ", "more than", [&] {
    static_cast<void>(device.make_caches({1 << 30, 1 << 30, 1 << 30, 1 << 30, 1 << 30}));
  });
  expect_error<UnsupportedError>("caches: ", "multiples of 256",
                                 [&] { static_cast<void>(device.make_caches({1, 2, 1, 3, 8})); });
  expect_error<ArgumentError>("caches: ", "is 0",
                              [&] { static_cast<void>(device.make_caches({1, 0, 1, 3, 8})); });
}

void check_failing_calls(PlanDevice& device) {
  const std::string file = "verify.64.engine: ";
  fake_plan() = testing::usual_plan();
  const auto caches = device.make_caches(kShape);
  const auto plan = open(device);
  Call call(caches.get(), 1, 2);
  const auto fails = [&] { call.run(*plan); };
  fake_plan().refuses_shapes = true;
  expect_error<EngineError>(file + "input tokens: ", "[1, 2]: shape? is refused", fails);
  fake_plan().refuses_shapes = false;
  fake_plan().grumbles = true;
  call.run(*plan);
  fake_plan().fails = true;
  expect_error<EngineError>(file + "the call cannot be run: it does not run", "", fails);
  fake_plan().fails = false;
  fake_plan().present_heads = kHeads + 1;
  expect_error<EngineError>(file + "output present_0 ", "[1, 3, 16, 8], and its input [1, 2, 16, 8]", fails);
  fake_plan().present_heads = -1;
  expect_error<EngineError>(file + "present_0: ", "does not follow", fails);
  fake_plan().present_heads = kHeads;
  std::swap(call.inputs[0].shape, call.inputs[1].shape);
  expect_error<EngineError>(file + "input tokens: ", "[1]", fails);
  std::swap(call.inputs[0].shape, call.inputs[1].shape);
  const std::vector<std::int64_t> negative{1, -1};
  const auto usual = std::exchange(call.inputs[0].shape, negative);
  expect_error<ArgumentError>("inputs: tokens", "[1, -1]", fails);
  call.inputs[0].shape = usual;
  call.outputs[0].data = call.outputs[0].data.first(4);
  expect_error<ArgumentError>("outputs: logits", "32 bytes, and 4 are", fails);
  call.outputs[0].data = std::as_writable_bytes(std::span(call.logits));
  call.inputs.pop_back();
  expect_error<ArgumentError>("inputs: wide", "0 times", fails);
  call.inputs.push_back({call.wide_name, call.wide_shape, call.wide.data()});
  const std::string unknown = "past_0";
  call.inputs.push_back({unknown, call.wide_shape, call.wide.data()});
  expect_error<ArgumentError>("inputs: ", "none of the name past_0", fails);
  call.inputs.pop_back();
  call.run(*plan);
  call.check("after failures");
}

}  // namespace mtp_rt::cuda
