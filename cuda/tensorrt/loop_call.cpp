#include "tensorrt/loop_call.h"

#include <algorithm>

#include "mtp_rt/error.h"
#include "tensorrt/file_errors.h"
#include "tensorrt/tensors.h"

namespace mtp_rt::cuda {

LoopCall::LoopCall(TensorRtPlan& plan, std::int32_t profile, std::span<const BoundTensor> inputs,
                   std::span<const BoundTensor> outputs, const BoundSlots& slots)
    : plan_(plan) {
  with_file(plan_.file(), [&] {
    execution_ = plan_.make_execution(profile);
    bind(inputs, outputs, slots);
  });
}

void LoopCall::enqueue(cudaStream_t stream) {
  with_file(plan_.file(), [&] { execution_->enqueue(stream); });
}

void LoopCall::bind(std::span<const BoundTensor> inputs, std::span<const BoundTensor> outputs,
                    const BoundSlots& slots) {
  for (const BoundTensor& input : inputs) execution_->set_shape(input.name, input.shape);
  if (slots.caches != nullptr) {
    execution_->bind_caches(slots.names, *slots.caches, slots.first, slots.count);
    execution_->check_caches(slots.names);
  }
  for (const BoundTensor& input : inputs) execution_->bind(input.name, input.memory);
  for (const BoundTensor& output : outputs) {
    const std::vector<std::int64_t> shape = execution_->shape_of(output.name);
    if (shape != output.shape) {
      throw EngineError("output " + output.name + " has the shape " + shape_text(shape) +
                        ", and the loop needs " + shape_text(output.shape));
    }
    execution_->bind(output.name, output.memory);
  }
  bind_others(outputs, slots);
}

void LoopCall::bind_others(std::span<const BoundTensor> outputs, const BoundSlots& slots) {
  for (const PlanTensor& tensor : plan_.tensors()) {
    const bool bound =
        tensor.is_input ||
        std::ranges::any_of(outputs, [&](const auto& o) { return o.name == tensor.name; }) ||
        std::ranges::any_of(slots.names, [&](const auto& matrix) { return matrix.present == tensor.name; });
    if (bound) continue;
    const std::size_t bytes = bytes_of(execution_->shape_of(tensor.name), plan_.value_bytes_of(tensor.name));
    unread_.emplace_back(std::max(bytes, kLeastBytes));
    execution_->bind(tensor.name, unread_.back().data());
  }
}

}  // namespace mtp_rt::cuda
