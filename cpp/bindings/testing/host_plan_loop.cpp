#include "testing/host_plan_loop.h"

#include <algorithm>
#include <string>
#include <utility>

#include "kernels/host_step.h"
#include "mtp_rt/error.h"

namespace mtp_rt::testing {
namespace {

std::size_t size(std::int32_t a, std::int32_t b = 1) {
  return static_cast<std::size_t>(a) * static_cast<std::size_t>(b);
}

template <typename T>
cuda::PlanOutput output(const std::string& name, std::vector<T>& values) {
  return {name, std::as_writable_bytes(std::span(values))};
}

/// `count` of `values`, from the place of `row` on, of which each has `stride`.
template <typename T>
std::span<const T> part(const std::vector<T>& values, std::int32_t row, std::int32_t stride,
                        std::int32_t count) {
  return std::span(values).subspan(size(row, stride), size(count));
}

}  // namespace

HostPlanLoop::Step::Step(const cuda::SlotGroup& of, const cuda::PlanLoopModel& model)
    : group(of),
      drafts(size(of.count, of.width - 1)),
      parents(drafts.size()),
      draft_counts(size(of.count)),
      drafted(size(of.count, of.depths)),
      drafted_parents(drafted.size()),
      drafted_counts(size(of.count)),
      logits(size(of.count, of.width) * size(model.vocab)),
      states(size(of.count, of.width) * size(model.hidden)),
      picks(size(of.count, of.width)),
      tokens(picks.size()),
      kept(picks.size()),
      last(size(of.count)),
      outcomes(size(of.count)) {
  for (std::int32_t i = 0; i < of.count; ++i) slots.push_back(of.first + i);
}

void HostPlanLoop::Step::put_drafts(const LoopRow& row) {
  const std::int32_t sequence = row.slot - group.first;
  const auto at = static_cast<std::ptrdiff_t>(size(sequence, group.width - 1));
  draft_counts[size(sequence)] = row.drafts;
  if (row.drafts == 0) return;
  std::copy_n(row.tree->tokens.begin(), row.drafts, drafts.begin() + at);
  std::copy_n(row.tree->parents.begin(), row.drafts, parents.begin() + at);
}

cuda::StepRows HostPlanLoop::Step::rows() noexcept {
  return {group.count, group.width, slots.data(), drafts.data(), parents.data(), draft_counts.data()};
}

cuda::StepRows HostPlanLoop::Step::drafting() noexcept {
  return {group.count,    group.depths + 1,       slots.data(),
          drafted.data(), drafted_parents.data(), drafted_counts.data()};
}

cuda::StepResults HostPlanLoop::Step::results() noexcept {
  return {picks.data(), tokens.data(), kept.data(), last.data(), outcomes.data()};
}

HostPlanLoop::HostPlanLoop(cuda::PlanLoopModel model)
    : model_(std::move(model)), state_(model_.slots, model_.context, model_.vocab) {}

std::int32_t HostPlanLoop::max_depths() const noexcept {
  return static_cast<std::int32_t>(model_.heads.size());
}

bool HostPlanLoop::holds(Slot slot) const noexcept { return state_.ending(slot) != cuda::Ending::empty; }

void HostPlanLoop::admit(Slot slot, const Request& request, std::span<const Token> tokens) {
  state_.admit(slot, request, tokens);
}

void HostPlanLoop::release(Slot slot) { state_.release(slot); }

std::vector<LoopResult> HostPlanLoop::step(std::span<const LoopRow> rows) {
  for (const LoopRow& row : rows) {
    if (!holds(row.slot)) throw ArgumentError("slot: none was admitted to it");
    if (row.drafts >= max_rows() || row.depths > max_depths()) throw ArgumentError("rows: too many");
  }
  std::vector<LoopResult> results(rows.size());
  for (const cuda::SlotGroup& group : cuda::slot_groups(rows, model_)) {
    Step step(group, model_);
    for (const LoopRow& row : rows) {
      if (group.holds(row.slot)) step.put_drafts(row);
    }
    run(step);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (group.holds(rows[i].slot)) results[i] = result_of(rows[i], step);
    }
  }
  return results;
}

void HostPlanLoop::run(Step& step) {
  verify(step);
  std::vector<float> scratch(step.logits.size());
  const cuda::StepScores scores{step.logits.data(), scratch.data(), nullptr};
  cuda::pick_on_host(state_.view(), step.rows(), scores, step.picks.data());
  cuda::commit_on_host(state_.view(), step.rows(), step.results());
  keep(step);
  if (step.group.depths > 0) draft(step);
}

void HostPlanLoop::verify(Step& step) {
  const std::int64_t batch = step.group.count;
  const std::int64_t width = step.group.width;
  std::vector<std::int64_t> tokens(step.picks.size());
  std::vector<std::int64_t> positions(tokens.size());
  std::vector<std::int64_t> rows(tokens.size());
  std::vector<std::int64_t> lengths(step.slots.size());
  const auto tree = std::make_unique<bool[]>(tokens.size() * size(step.group.width));
  cuda::lay_rows_on_host(state_.view(), step.rows(),
                         {tokens.data(), positions.data(), lengths.data(), tree.get()});
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<std::int64_t>(i) % width;
  const std::vector<std::int64_t> flat{batch, width};
  const std::vector<std::int64_t> one{batch};
  const std::vector<std::int64_t> square{batch, width, width};
  const std::string names[] = {"tokens", "positions", "lengths", "tree", "rows", "logits", "state"};
  const std::vector<cuda::PlanInput> given{{names[0], flat, tokens.data()},
                                           {names[1], flat, positions.data()},
                                           {names[2], one, lengths.data()},
                                           {names[3], square, tree.get()},
                                           {names[4], flat, rows.data()}};
  const std::vector<cuda::PlanOutput> made{output(names[5], step.logits), output(names[6], step.states)};
  const std::int32_t profile = model_.verify_profiles[size(step.group.count) - 1][size(step.group.width) - 1];
  model_.verify->run({profile, given, made, model_.caches, step.group.first, step.group.count});
}

/// Moves what a step's sequences keep.
void HostPlanLoop::keep(const Step& step) {
  for (std::int32_t i = 0; i < step.group.count; ++i) {
    const cuda::StepOutcome& outcome = step.outcomes[size(i)];
    const auto kept = part(step.kept, i, step.group.width, outcome.count);
    model_.caches->keep(step.slots[size(i)], outcome.place, kept);
  }
}

void HostPlanLoop::draft(Step& step) {
  std::vector<float> states(size(step.group.count, model_.hidden));
  cuda::gather_state_on_host(step.states.data(), states.data(), model_.hidden, step.rows(),
                             step.outcomes.data());
  const std::int32_t entries =
      model_.draft_ids.empty() ? model_.vocab : static_cast<std::int32_t>(model_.draft_ids.size());
  const std::int32_t stride = model_.sequential ? entries : entries * max_depths();
  const Token* ids = model_.draft_ids.empty() ? nullptr : model_.draft_ids.data();
  std::vector<float> found;
  for (std::int32_t depth = 0; depth < step.group.depths; ++depth) {
    const bool runs = model_.sequential || depth == 0;
    if (runs) found = scores(model_.heads[size(depth)], states, step.last);
    const std::size_t first = model_.sequential ? 0 : size(depth, entries);
    cuda::pick_draft_on_host(state_.view(), step.drafting(),
                             {found.data() + first, ids, entries, stride, depth, step.last.data()});
  }
}

/// Runs a head on `states`, which become the next ones where heads are sequential.
std::vector<float> HostPlanLoop::scores(const cuda::PlanHead& head, std::vector<float>& states,
                                        std::span<const std::int64_t> tokens) const {
  const std::size_t entries = model_.draft_ids.empty() ? size(model_.vocab) : model_.draft_ids.size();
  std::vector<float> logits(tokens.size() * entries * (model_.sequential ? 1 : model_.heads.size()));
  const auto batch = static_cast<std::int32_t>(tokens.size());
  const std::vector<std::int64_t> row{batch, 1, model_.hidden};
  const std::vector<std::int64_t> one{batch, 1};
  const std::string names[] = {"state", "tokens", "logits", "next_state"};
  std::vector<cuda::PlanInput> inputs{{names[0], row, states.data()}};
  std::vector<float> next(states.size());
  std::vector<cuda::PlanOutput> outputs{output(names[2], logits)};
  if (model_.sequential) {
    inputs.push_back({names[1], one, tokens.data()});
    outputs.push_back(output(names[3], next));
  }
  head.plan->run({head.profiles[tokens.size() - 1], inputs, outputs, nullptr, 0, batch});
  if (model_.sequential) states = std::move(next);
  return logits;
}

LoopResult HostPlanLoop::result_of(const LoopRow& row, const Step& step) const {
  const std::int32_t sequence = row.slot - step.group.first;
  const cuda::StepOutcome& outcome = step.outcomes[size(sequence)];
  LoopResult result;
  if (outcome.error < 0) {
    result.error = outcome.error == cuda::kBrokenRow ? "logits: a value is NaN" : "no token is allowed";
    return result;
  }
  const auto tokens = part(step.tokens, sequence, step.group.width, outcome.count);
  result.tokens.assign(tokens.begin(), tokens.end());
  result.accepted = outcome.accepted;
  if (outcome.ending == cuda::Ending::none) {
    const auto drafted = part(step.drafted, sequence, step.group.depths, row.depths);
    result.drafted.assign(drafted.begin(), drafted.end());
  }
  return result;
}

}  // namespace mtp_rt::testing
