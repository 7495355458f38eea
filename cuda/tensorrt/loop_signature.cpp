#include "tensorrt/loop_signature.h"

#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "kernels/step_types.h"
#include "loop/slot_groups.h"
#include "mtp_rt/error.h"
#include "tensorrt/caches.h"
#include "tensorrt/plan.h"

namespace mtp_rt::cuda {
namespace {

void check_sizes(const PlanLoopModel& model) {
  for (const std::int32_t size : {model.slots, model.context, model.vocab, model.hidden}) {
    if (size < 1) throw ArgumentError("model: one of its sizes is " + std::to_string(size));
  }
  if (model.vocab > kMaxVocab) {
    throw ArgumentError("vocab: " + std::to_string(model.vocab) + " is more than " +
                        std::to_string(kMaxVocab));
  }
  if (loop_rows(model) == 0) throw ArgumentError("verify_profiles: there is none for steps of one row");
  if (model.heads.size() >= std::size_t{kMaxWidth}) {
    throw ArgumentError("heads: " + std::to_string(model.heads.size()) + ", and fewer than " +
                        std::to_string(kMaxWidth) + " are possible");
  }
  for (const PlanHead& head : model.heads) {
    if (head.profiles.empty()) throw ArgumentError("heads: one has no profile for one sequence");
  }
  for (std::size_t i = 0; i < model.draft_ids.size(); ++i) {
    const Token least = i == 0 ? 0 : model.draft_ids[i - 1] + 1;
    if (model.draft_ids[i] < least || model.draft_ids[i] >= model.vocab) {
      throw ArgumentError("draft_ids: they ascend within the vocabulary, and entry " + std::to_string(i) +
                          " is " + std::to_string(model.draft_ids[i]));
    }
  }
}

void check_cache_sizes(const PlanLoopModel& model) {
  const auto* caches = dynamic_cast<const DeviceCaches*>(model.caches);
  if (caches == nullptr) throw ArgumentError("caches: they are not of this device");
  const PlanCacheShape& shape = caches->shape();
  const std::int64_t places = std::int64_t{model.context} + loop_rows(model) - 1;
  if (shape.slots >= model.slots && shape.places >= places &&
      shape.matrices == std::ssize(model.cache_names)) {
    return;
  }
  throw ArgumentError("caches: " + std::to_string(shape.matrices) + " matrices of " +
                      std::to_string(shape.slots) + " slots and " + std::to_string(shape.places) +
                      " places; the loop needs " + std::to_string(model.cache_names.size()) + " of " +
                      std::to_string(model.slots) + " and " + std::to_string(places));
}

bool fits(const PlanTensor& found, const PlanTensor& wanted) {
  const auto same = [](std::int64_t a, std::int64_t b) { return a == b || a == -1 || b == -1; };
  return found.type == wanted.type && std::ranges::equal(found.shape, wanted.shape, same);
}

void check_plan(const Plan* plan, const char* what, std::span<const PlanTensor> wanted,
                std::span<const PlanCacheNames> caches) {
  const auto* of_ours = dynamic_cast<const TensorRtPlan*>(plan);
  if (of_ours == nullptr) throw ArgumentError(std::string(what) + ": the plan is not of this device");
  for (const PlanTensor& tensor : wanted) {
    const auto is_it = [&](const auto& t) { return t.name == tensor.name && t.is_input == tensor.is_input; };
    const auto found = std::ranges::find_if(of_ours->tensors(), is_it);
    if (found != of_ours->tensors().end() && fits(*found, tensor)) continue;
    throw ModelFormatError(of_ours->file(), tensor.name,
                           std::string("the plan has no such ") + (tensor.is_input ? "input" : "output") +
                               " of the type and shape that the loop needs; export the plan again");
  }
  for (const PlanTensor& tensor : of_ours->tensors()) {
    if (!tensor.is_input) continue;
    const bool known = std::ranges::any_of(wanted, [&](const auto& t) { return t.name == tensor.name; }) ||
                       std::ranges::any_of(caches, [&](const auto& c) { return c.past == tensor.name; });
    if (known) continue;
    throw ModelFormatError(of_ours->file(), tensor.name, "the loop has nothing for this input");
  }
}

std::vector<PlanTensor> verify_tensors(const PlanLoopModel& model) {
  return {{"tokens", true, PlanType::i64, {-1, -1}},
          {"positions", true, PlanType::i64, {-1, -1}},
          {"lengths", true, PlanType::i64, {-1}},
          {"tree", true, PlanType::boolean, {-1, -1, -1}},
          {"rows", true, PlanType::i64, {-1, -1}},
          {"logits", false, PlanType::f32, {-1, -1, model.vocab}},
          {"state", false, PlanType::f32, {-1, -1, model.hidden}}};
}

std::vector<PlanTensor> head_tensors(const PlanLoopModel& model) {
  const std::int64_t scores = model.draft_ids.empty() ? model.vocab : std::ssize(model.draft_ids);
  std::vector<PlanTensor> tensors{{"state", true, PlanType::f32, {-1, -1, model.hidden}}};
  if (model.sequential) {
    tensors.push_back({"tokens", true, PlanType::i64, {-1, -1}});
    tensors.push_back({"logits", false, PlanType::f32, {-1, -1, scores}});
    tensors.push_back({"next_state", false, PlanType::f32, {-1, -1, model.hidden}});
  } else {
    tensors.push_back({"logits", false, PlanType::f32, {-1, -1, std::ssize(model.heads), scores}});
  }
  return tensors;
}

}  // namespace

void check_loop(const PlanLoopModel& model) {
  check_sizes(model);
  check_cache_sizes(model);
  check_plan(model.verify, "verify", verify_tensors(model), model.cache_names);
  // Heads that are not sequential are one plan, which gives all depths.
  const std::size_t plans =
      model.sequential ? model.heads.size() : std::min<std::size_t>(model.heads.size(), 1);
  for (std::size_t i = 0; i < plans; ++i) check_plan(model.heads[i].plan, "heads", head_tensors(model), {});
}

}  // namespace mtp_rt::cuda
