#include "tensorrt/loop_parts.h"

#include <numeric>
#include <utility>

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
      scores(max_rows(), of.vocab),
      row_numbers(size(max_rows())),
      states(size(max_rows(), of.hidden)),
      head_state{DeviceBuffer<float>(size(of.hidden)), DeviceBuffer<float>(size(of.hidden))},
      head_logits(heads.empty() ? 0 : size(draft_scores(), of.sequential ? 1 : max_depths())),
      draft_ids(of.draft_ids.size()) {
  const Stream& stream = runtime->stream();
  std::vector<std::int64_t> numbers(row_numbers.size());
  std::iota(numbers.begin(), numbers.end(), std::int64_t{0});
  row_numbers.upload(numbers, stream.get());
  if (draft_ids.size() > 0) draft_ids.upload(model.draft_ids, stream.get());
  for (DeviceBuffer<float>& state : head_state) state.fill(0, stream.get());
  stream.wait();
}

std::int32_t LoopParts::max_rows() const noexcept { return loop_rows(model); }

std::int32_t LoopParts::max_depths() const noexcept { return static_cast<std::int32_t>(heads.size()); }

std::int32_t LoopParts::draft_scores() const noexcept {
  return model.draft_ids.empty() ? model.vocab : static_cast<std::int32_t>(model.draft_ids.size());
}

}  // namespace mtp_rt::cuda
