#include "tensorrt/loop_parts.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "loop/slot_groups.h"
#include "tensorrt/loop_signature.h"

namespace mtp_rt::cuda {
namespace {

PlanLoopModel checked(const PlanLoopModel& model) {
  check_loop(model);
  return model;
}

std::vector<TensorRtPlan*> heads_of(const PlanLoopModel& model) {
  std::vector<TensorRtPlan*> plans;
  for (const PlanHead& head : model.heads) plans.push_back(dynamic_cast<TensorRtPlan*>(head.plan));
  return plans;
}

std::size_t size(std::int32_t a, std::int32_t b = 1) {
  return static_cast<std::size_t>(a) * static_cast<std::size_t>(b);
}

}  // namespace

LoopParts::LoopParts(std::shared_ptr<Runtime> on, const PlanLoopModel& of)
    : runtime(std::move(on)),
      model(checked(of)),
      verify(dynamic_cast<TensorRtPlan&>(*of.verify)),
      caches(dynamic_cast<const DeviceCaches&>(*of.caches)),
      heads(heads_of(of)),
      memory(of.slots, of.context, of.vocab),
      step(of.slots, max_rows(), max_depths()),
      scores(all_rows(), of.vocab),
      states(size(all_rows(), of.hidden)),
      head_states{DeviceBuffer<float>(size(max_batch(), of.hidden)),
                  DeviceBuffer<float>(size(max_batch(), of.hidden))},
      head_logits(heads.empty() ? 0
                                : size(max_batch(), draft_scores()) * size(of.sequential ? 1 : max_depths())),
      draft_ids(of.draft_ids.size()) {
  const Stream& stream = runtime->stream();
  std::vector<std::int32_t> slots(size(model.slots));
  std::iota(slots.begin(), slots.end(), 0);
  step.set_slots(slots, stream.get());
  for (std::int32_t width = 1; width <= max_rows(); ++width) {
    std::vector<std::int64_t> numbers(size(max_batch(), width));
    for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<std::int64_t>(i) % width;
    row_numbers.emplace_back(numbers.size()).upload(numbers, stream.get());
  }
  if (draft_ids.size() > 0) draft_ids.upload(model.draft_ids, stream.get());
  for (DeviceBuffer<float>& state : head_states) state.fill(0, stream.get());
  stream.wait();
}

std::int32_t LoopParts::max_rows() const noexcept { return loop_rows(model); }

std::int32_t LoopParts::max_batch() const noexcept {
  std::int32_t batch = 1;
  while (loop_rows(model, batch + 1) > 0) ++batch;
  return batch;
}

std::int32_t LoopParts::all_rows() const noexcept {
  std::int32_t most = 0;
  for (std::int32_t batch = 1; batch <= max_batch(); ++batch)
    most = std::max(most, batch * loop_rows(model, batch));
  return most;
}

std::int32_t LoopParts::max_depths() const noexcept { return static_cast<std::int32_t>(heads.size()); }

std::int32_t LoopParts::draft_scores() const noexcept {
  return model.draft_ids.empty() ? model.vocab : static_cast<std::int32_t>(model.draft_ids.size());
}

}  // namespace mtp_rt::cuda
