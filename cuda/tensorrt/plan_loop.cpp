#include "tensorrt/plan_loop.h"

#include <string>
#include <utility>

#include "mtp_rt/error.h"
#include "tensorrt/step_check.h"

namespace mtp_rt::cuda {
namespace {

/// A refused pick, in the host's words.
std::string error_text(Token pick) {
  return pick == kNothingAllowed ? "logits: no token is allowed; every one is masked or -infinity"
                                 : "logits: a value is NaN or +infinity; the engine failed on this row";
}

StepPart verified(const SlotGroup& group) { return {group.first, group.count, group.width}; }

StepPart drafted(const SlotGroup& group) { return {group.first, group.count, group.depths + 1}; }

/// The first tokens of `tokens`.
std::vector<Token> first(std::span<const Token> tokens, std::int32_t count) {
  const auto chosen = tokens.first(static_cast<std::size_t>(count));
  return {chosen.begin(), chosen.end()};
}

}  // namespace

PlanLoop::PlanLoop(std::shared_ptr<Runtime> runtime, const PlanLoopModel& model)
    : parts_(std::move(runtime), model) {}

bool PlanLoop::holds(Slot slot) const noexcept { return parts_.memory.ending(slot) != Ending::empty; }

void PlanLoop::admit(Slot slot, const Request& request, std::span<const Token> tokens) {
  if (request.logprobs) {
    throw UnsupportedError("logprobs: the loop on the GPU has none; leave them out, or step on the host");
  }
  release(slot);
  parts_.memory.admit(slot, request, tokens, parts_.runtime->stream().get());
}

void PlanLoop::release(Slot slot) {
  if (holds(slot)) parts_.memory.release(slot, parts_.runtime->stream().get());
}

std::vector<LoopResult> PlanLoop::step(std::span<const LoopRow> rows) {
  check_rows(rows);
  parts_.runtime->forget_errors();
  forget_old_graphs();
  const std::vector<SlotGroup> groups = slot_groups(rows, parts_.model);
  for (const LoopRow& row : rows) put_drafts(row, group_of(groups, row.slot));
  run(groups);
  std::vector<LoopResult> results;
  for (const LoopRow& row : rows) results.push_back(result_of(row, group_of(groups, row.slot)));
  return results;
}

void PlanLoop::check_rows(std::span<const LoopRow> rows) const {
  std::vector<bool> given(static_cast<std::size_t>(parts_.model.slots));
  for (const LoopRow& row : rows) {
    const std::string slot = "slot " + std::to_string(row.slot);
    const Ending ending = parts_.memory.ending(row.slot);
    if (ending == Ending::empty) throw ArgumentError("rows: " + slot + " holds no sequence; admit one first");
    if (ending != Ending::none)
      throw ArgumentError("rows: the sequence of " + slot + " has ended; release it");
    const auto place = static_cast<std::size_t>(row.slot);
    if (given[place]) throw ArgumentError("rows: " + slot + " is there twice");
    given[place] = true;
    check_step(row, {max_rows(), max_depths(), parts_.model.vocab});
  }
}

void PlanLoop::put_drafts(const LoopRow& row, const SlotGroup& group) {
  const auto drafts = static_cast<std::size_t>(row.drafts);
  const DraftTree none;
  const DraftTree& tree = row.tree == nullptr ? none : *row.tree;
  parts_.step.put_drafts(verified(group), row.slot, std::span(tree.tokens).first(drafts),
                         std::span(tree.parents).first(drafts));
}

/// The calls of the heads do not know the state and stay.
void PlanLoop::forget_old_graphs() {
  if (graphs_count_ == parts_.memory.has_counts()) return;
  verify_graphs_.clear();
  draft_graphs_.clear();
  graphs_count_ = parts_.memory.has_counts();
}

const VerifyGraph& PlanLoop::verify_graph(const SlotGroup& group) {
  return verify_graphs_.try_emplace(verified(group), parts_, verified(group)).first->second;
}

const DraftGraph& PlanLoop::draft_graph(const SlotGroup& group) {
  DraftCalls& calls = draft_calls_.try_emplace(group.count, parts_, group.count).first->second;
  const DraftShape shape{group.first, group.count, group.depths};
  return draft_graphs_.try_emplace(shape, parts_, calls, shape).first->second;
}

/// Captures what is new, then launches all of the step.
void PlanLoop::run(std::span<const SlotGroup> groups) {
  std::vector<const VerifyGraph*> verifies;
  std::vector<const DraftGraph*> drafts;
  for (const SlotGroup& group : groups) {
    verifies.push_back(&verify_graph(group));
    drafts.push_back(group.depths > 0 ? &draft_graph(group) : nullptr);
  }
  const Stream& stream = parts_.runtime->stream();
  const Settled settled(stream.get());
  for (std::size_t i = 0; i < groups.size(); ++i) {
    verifies[i]->launch(stream.get());
    if (drafts[i] != nullptr) drafts[i]->launch(stream.get());
  }
  stream.wait();
}

LoopResult PlanLoop::result_of(const LoopRow& row, const SlotGroup& group) {
  const StepOutcome& outcome = parts_.step.outcomes()[static_cast<std::size_t>(row.slot)];
  parts_.memory.set_ending(row.slot, outcome.ending);
  LoopResult result;
  result.tokens = first(parts_.step.tokens(verified(group), row.slot), outcome.count);
  result.accepted = outcome.accepted;
  if (outcome.ending == Ending::none) {
    result.drafted = first(parts_.step.drafted(drafted(group), row.slot), row.depths);
  }
  if (outcome.error != 0) result.error = error_text(outcome.error);
  return result;
}

}  // namespace mtp_rt::cuda
