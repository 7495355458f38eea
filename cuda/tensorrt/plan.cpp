#include "tensorrt/plan.h"

#include <algorithm>
#include <utility>

#include "mtp_rt/error.h"
#include "tensorrt/file_errors.h"
#include "tensorrt/tensors.h"

namespace mtp_rt::cuda {
namespace {

DeviceBuffer<std::byte> scratch_of(const nvinfer1::ICudaEngine& engine) {
  return DeviceBuffer<std::byte>(
      static_cast<std::size_t>(std::max<std::int64_t>(engine.getDeviceMemorySizeV2(), 0)));
}

}  // namespace

TensorRtPlan::TensorRtPlan(std::shared_ptr<Runtime> runtime, std::string file,
                           std::span<const std::byte> plan, std::span<const PlanCacheNames> caches)
    : runtime_(std::move(runtime)),
      file_(std::move(file)),
      engine_(runtime_->open(file_, plan)),
      caches_(caches.begin(), caches.end()),
      tensors_(tensors_of(*engine_, file_)),
      executions_(static_cast<std::size_t>(engine_->getNbOptimizationProfiles())) {
  check_caches(tensors_, caches_, file_);
  for (const PlanTensor& tensor : tensors_) {
    const bool is_cache = std::ranges::any_of(caches_, [&](const PlanCacheNames& matrix) {
      return tensor.name == matrix.past || tensor.name == matrix.present;
    });
    staged_.push_back({value_bytes(*engine_, tensor.name), is_cache, 0, {}});
  }
  with_file(file_, [&] { scratch_ = scratch_of(*engine_); });
}

void TensorRtPlan::run(const PlanCall& call) {
  check_inputs(call.inputs);
  runtime_->forget_errors();
  with_file(file_, [&] { run_call(call); });
}

Execution& TensorRtPlan::execution(std::int32_t profile) {
  check_profile(profile);
  std::unique_ptr<Execution>& execution = executions_[static_cast<std::size_t>(profile)];
  if (execution == nullptr) execution = make_execution(profile);
  return *execution;
}

std::unique_ptr<Execution> TensorRtPlan::make_execution(std::int32_t profile) {
  check_profile(profile);
  auto execution =
      std::make_unique<Execution>(*runtime_, *engine_, profile, std::span(scratch_.data(), scratch_.size()));
  runtime_->stream().wait();
  return execution;
}

std::size_t TensorRtPlan::value_bytes_of(const std::string& tensor) const {
  return value_bytes(*engine_, tensor);
}

void TensorRtPlan::check_profile(std::int32_t profile) const {
  if (profile >= 0 && profile < std::ssize(executions_)) return;
  throw ArgumentError("profile: " + std::to_string(profile) + ", and " + file_ + " has " +
                      std::to_string(executions_.size()));
}

void TensorRtPlan::run_call(const PlanCall& call) {
  Execution& with_profile = execution(call.profile);
  const Stream& stream = runtime_->stream();
  const Settled settled(stream.get());
  put_inputs(with_profile, call.inputs);
  put_caches(with_profile, call);
  put_outputs(with_profile);
  with_profile.enqueue(stream.get());
  fetch(call.outputs);
  stream.wait();
}

void TensorRtPlan::check_inputs(std::span<const PlanInput> inputs) const {
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    if (!tensors_[i].is_input || staged_[i].is_cache) continue;
    const auto given =
        std::ranges::count_if(inputs, [&](const PlanInput& input) { return input.name == tensors_[i].name; });
    if (given != 1) {
      throw ArgumentError("inputs: " + tensors_[i].name + " is there " + std::to_string(given) + " times");
    }
  }
}

void TensorRtPlan::put_inputs(Execution& execution, std::span<const PlanInput> inputs) {
  for (const PlanInput& input : inputs) {
    const std::size_t tensor = index_of(input.name, true);
    const bool possible = std::ranges::all_of(input.shape, [](std::int64_t size) { return size >= 0; });
    if (!possible) throw ArgumentError("inputs: " + input.name + " has the shape " + shape_text(input.shape));
    execution.set_shape(input.name, input.shape);
    bind_staged(execution, tensor, input.shape);
    Staged& staged = staged_[tensor];
    staged.memory.upload({static_cast<const std::byte*>(input.data), staged.bytes}, runtime_->stream().get());
  }
}

void TensorRtPlan::put_caches(Execution& execution, const PlanCall& call) {
  if (caches_.empty()) return;
  const auto* caches = dynamic_cast<const DeviceCaches*>(call.caches);
  const bool fits = caches != nullptr && caches->shape().matrices == std::ssize(caches_) && call.batch >= 1 &&
                    call.first_slot >= 0 && caches->shape().slots - call.batch >= call.first_slot;
  if (!fits) {
    throw ArgumentError("caches: " + file_ + " has " + std::to_string(caches_.size()) + " matrices, and " +
                        std::to_string(call.batch) + " slots from " + std::to_string(call.first_slot) +
                        " on are asked for");
  }
  execution.bind_caches(caches_, *caches, call.first_slot, call.batch);
  execution.check_caches(caches_);
}

void TensorRtPlan::put_outputs(Execution& execution) {
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    if (tensors_[i].is_input || staged_[i].is_cache) continue;
    bind_staged(execution, i, execution.shape_of(tensors_[i].name));
  }
}

void TensorRtPlan::fetch(std::span<const PlanOutput> outputs) {
  for (const PlanOutput& output : outputs) {
    const Staged& staged = staged_[index_of(output.name, false)];
    if (staged.bytes != output.data.size()) {
      throw ArgumentError("outputs: " + output.name + " has " + std::to_string(staged.bytes) +
                          " bytes, and " + std::to_string(output.data.size()) + " are asked for");
    }
    staged.memory.download(output.data, runtime_->stream().get());
  }
}

void TensorRtPlan::bind_staged(Execution& execution, std::size_t tensor,
                               std::span<const std::int64_t> shape) {
  Staged& staged = staged_[tensor];
  staged.bytes = bytes_of(shape, staged.value_bytes);
  if (staged.memory.size() < std::max(staged.bytes, kLeastBytes)) {
    staged.memory = DeviceBuffer<std::byte>();  // both at once might not fit
    staged.memory = DeviceBuffer<std::byte>(std::max(staged.bytes, kLeastBytes));
  }
  execution.bind(tensors_[tensor].name, staged.memory.data());
}

std::size_t TensorRtPlan::index_of(const std::string& name, bool is_input) const {
  const auto found = std::ranges::find(tensors_, name, &PlanTensor::name);
  const auto index = static_cast<std::size_t>(found - tensors_.begin());
  if (found != tensors_.end() && found->is_input == is_input && !staged_[index].is_cache) return index;
  throw ArgumentError((is_input ? "inputs: " : "outputs: ") + file_ + " has none of the name " + name);
}

}  // namespace mtp_rt::cuda
