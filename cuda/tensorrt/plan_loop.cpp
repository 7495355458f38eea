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

}  // namespace

PlanLoop::PlanLoop(std::shared_ptr<Runtime> runtime, const PlanLoopModel& model)
    : parts_(std::move(runtime), model) {
  const Stream& stream = parts_.runtime->stream();
  for (Slot slot = 0; slot < model.slots; ++slot) {
    sequences_.push_back({StepMemory(1, max_rows(), max_depths())});
    sequences_.back().memory.set_slots({&slot, 1}, stream.get());
  }
  stream.wait();
}

bool PlanLoop::takes(const Request& request) const noexcept {
  return !request.logprobs && request.stop_token_ids.size() <= std::size_t{kMaxStops} &&
         request.params.logit_bias.size() <= std::size_t{kMaxBias};
}

bool PlanLoop::holds(Slot slot) const noexcept {
  return slot >= 0 && slot < std::ssize(sequences_) && sequences_[static_cast<std::size_t>(slot)].held;
}

void PlanLoop::admit(Slot slot, const Request& request, std::span<const Token> tokens) {
  if (request.logprobs) {
    throw UnsupportedError("logprobs: the loop on the GPU has none; leave them out, or step on the host");
  }
  release(slot);
  parts_.memory.admit(slot, request, tokens, parts_.runtime->stream().get());
  at(slot).held = true;
  at(slot).ended = false;
}

void PlanLoop::release(Slot slot) {
  if (!holds(slot)) return;
  at(slot).held = false;
  parts_.memory.release(slot, parts_.runtime->stream().get());
}

std::vector<LoopResult> PlanLoop::step(std::span<const LoopRow> rows) {
  check_rows(rows);
  parts_.runtime->forget_errors();
  if (graphs_count_ != parts_.memory.has_counts()) graphs_.clear();
  graphs_count_ = parts_.memory.has_counts();
  std::vector<const StepGraph*> graphs;
  for (const LoopRow& row : rows) {
    const auto drafts = static_cast<std::size_t>(row.drafts);
    const DraftTree none;
    const DraftTree& tree = row.tree == nullptr ? none : *row.tree;
    at(row.slot).memory.put_drafts(0, row.drafts + 1, std::span(tree.tokens).first(drafts),
                                   std::span(tree.parents).first(drafts));
    graphs.push_back(&graph_of(row));
  }
  const Stream& stream = parts_.runtime->stream();
  {
    const Settled settled(stream.get());
    for (const StepGraph* graph : graphs) graph->launch(stream.get());
    stream.wait();
  }
  std::vector<LoopResult> results;
  for (const LoopRow& row : rows) results.push_back(result_of(row));
  return results;
}

void PlanLoop::check_rows(std::span<const LoopRow> rows) const {
  std::vector<bool> given(sequences_.size());
  for (const LoopRow& row : rows) {
    const std::string slot = "slot " + std::to_string(row.slot);
    if (!holds(row.slot)) throw ArgumentError("rows: " + slot + " holds no sequence; admit one first");
    const auto place = static_cast<std::size_t>(row.slot);
    if (sequences_[place].ended)
      throw ArgumentError("rows: the sequence of " + slot + " has ended; release it");
    if (given[place]) throw ArgumentError("rows: " + slot + " is there twice");
    given[place] = true;
    check_step(row, {max_rows(), max_depths(), parts_.model.vocab});
  }
}

const StepGraph& PlanLoop::graph_of(const LoopRow& row) {
  const StepShape shape{row.slot, row.drafts + 1, row.depths};
  auto found = graphs_.find(shape);
  if (found == graphs_.end()) found = graphs_.try_emplace(shape, parts_, at(row.slot).memory, shape).first;
  return found->second;
}

LoopResult PlanLoop::result_of(const LoopRow& row) {
  Sequence& sequence = at(row.slot);
  const StepOutcome& outcome = sequence.memory.outcomes().front();
  const auto first = [](std::span<const Token> values, std::int32_t count) {
    const auto chosen = values.first(static_cast<std::size_t>(count));
    return std::vector<Token>(chosen.begin(), chosen.end());
  };
  sequence.ended = outcome.ending != Ending::none;
  LoopResult result;
  result.tokens = first(sequence.memory.tokens(), outcome.count);
  result.accepted = outcome.accepted;
  if (!sequence.ended) result.drafted = first(sequence.memory.drafted(), row.depths);
  if (outcome.error != 0) result.error = error_text(outcome.error);
  return result;
}

}  // namespace mtp_rt::cuda
