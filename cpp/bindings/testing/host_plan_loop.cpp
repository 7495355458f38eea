#include "testing/host_plan_loop.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>

#include "kernels/commit_body.h"
#include "kernels/copy_rows.h"
#include "kernels/host_block.h"
#include "kernels/lay_rows_body.h"
#include "kernels/pick_step.h"
#include "loop/slot_start.h"
#include "mtp_rt/error.h"

namespace mtp_rt::testing {
namespace {

constexpr std::int32_t kThreads = 16;
constexpr std::int32_t kListed = 4;

std::size_t size(std::int32_t a, std::int32_t b = 1) {
  return static_cast<std::size_t>(a) * static_cast<std::size_t>(b);
}

template <typename T>
cuda::PlanOutput output(const std::string& name, std::vector<T>& values) {
  return {name, std::as_writable_bytes(std::span(values))};
}

}  // namespace

HostPlanLoop::Step::Step(const LoopRow& row, std::int32_t depths, const cuda::PlanLoopModel& model)
    : slot(row.slot),
      width(row.drafts + 1),
      drafts(row.tree->tokens.begin(), row.tree->tokens.begin() + row.drafts),
      parents(row.tree->parents.begin(), row.tree->parents.begin() + row.drafts),
      draft_count(row.drafts),
      drafted(size(depths)),
      drafted_parents(size(depths)),
      logits(size(width, model.vocab)),
      states(size(width, model.hidden)),
      picks(size(width)),
      tokens(size(width)),
      kept(size(width)) {}

cuda::StepRows HostPlanLoop::Step::rows() noexcept {
  return {1, width, &slot, drafts.data(), parents.data(), &draft_count};
}

cuda::StepRows HostPlanLoop::Step::drafting() noexcept {
  const auto depths = static_cast<std::int32_t>(drafted.size());
  return {1, depths + 1, &slot, drafted.data(), drafted_parents.data(), &drafted_count};
}

HostPlanLoop::HostPlanLoop(cuda::PlanLoopModel model)
    : model_(std::move(model)),
      held_(size(model_.slots)),
      slots_(size(model_.slots)),
      tokens_(size(model_.slots, model_.context)),
      counts_(size(model_.slots, model_.vocab)),
      stops_(size(model_.slots, cuda::kMaxStops)),
      bias_(size(model_.slots, cuda::kMaxBias)),
      state_{slots_.data(), tokens_.data(), counts_.data(), stops_.data(),
             bias_.data(),  model_.context, model_.vocab} {}

std::int32_t HostPlanLoop::max_rows() const noexcept {
  return static_cast<std::int32_t>(model_.verify_profiles.size());
}

std::int32_t HostPlanLoop::max_depths() const noexcept {
  return static_cast<std::int32_t>(model_.heads.size());
}

bool HostPlanLoop::takes(const Request& request) const noexcept {
  return !request.logprobs && request.stop_token_ids.size() <= size(cuda::kMaxStops) &&
         request.params.logit_bias.size() <= size(cuda::kMaxBias);
}

bool HostPlanLoop::holds(Slot slot) const noexcept { return held_[size(slot)]; }

void HostPlanLoop::admit(Slot slot, const Request& request, std::span<const Token> tokens) {
  const cuda::SlotStart start = cuda::slot_start(request, tokens, model_.vocab, model_.context);
  const auto put = [slot](auto& to, const auto& from, std::int32_t stride) {
    std::ranges::copy(from, to.begin() + static_cast<std::ptrdiff_t>(slot) * stride);
  };
  slots_[size(slot)] = start.state;
  put(tokens_, start.tokens, model_.context);
  put(counts_, start.counts, model_.vocab);
  put(stops_, start.stops, cuda::kMaxStops);
  put(bias_, start.bias, cuda::kMaxBias);
  held_[size(slot)] = true;
}

void HostPlanLoop::release(Slot slot) {
  held_[size(slot)] = false;
  slots_[size(slot)] = {};
}

std::vector<LoopResult> HostPlanLoop::step(std::span<const LoopRow> rows) {
  std::vector<LoopResult> results;
  for (const LoopRow& row : rows) {
    if (!holds(row.slot)) throw ArgumentError("slot: none was admitted to it");
    if (row.drafts >= max_rows() || row.depths > max_depths()) throw ArgumentError("rows: too many");
    results.push_back(step_one(row));
  }
  return results;
}

LoopResult HostPlanLoop::step_one(const LoopRow& row) {
  Step step(row, row.depths, model_);
  verify(step);
  pick(step);
  cuda::commit_sequence(state_, step.rows(),
                        {step.picks.data(), step.tokens.data(), step.kept.data(), &step.last, &step.outcome},
                        0);
  LoopResult result;
  if (step.outcome.error < 0) {
    result.error = step.outcome.error == cuda::kBrokenRow ? "logits: a value is NaN" : "no token is allowed";
    return result;
  }
  const auto count = size(step.outcome.count);
  model_.caches->keep(row.slot, step.outcome.place, std::span(step.kept).first(count));
  result.tokens.assign(step.tokens.begin(), step.tokens.begin() + step.outcome.count);
  result.accepted = step.outcome.accepted;
  if (row.depths > 0 && step.outcome.ending == cuda::Ending::none) {
    draft(step, row.depths);
    result.drafted = step.drafted;
  }
  return result;
}

void HostPlanLoop::verify(Step& step) {
  const std::int32_t width = step.width;
  std::vector<std::int64_t> tokens(size(width));
  std::vector<std::int64_t> positions(size(width));
  std::vector<std::int64_t> rows(size(width));
  std::int64_t length = 0;
  const auto tree = std::make_unique<bool[]>(size(width, width));
  const cuda::VerifyInputs inputs{tokens.data(), positions.data(), &length, tree.get()};
  for (std::int32_t row = 0; row < width; ++row) cuda::lay_row(state_, step.rows(), inputs, 0, row);
  std::iota(rows.begin(), rows.end(), 0);
  const std::vector<std::int64_t> flat{1, width};
  const std::vector<std::int64_t> one{1};
  const std::vector<std::int64_t> square{1, width, width};
  const std::string names[] = {"tokens", "positions", "lengths", "tree", "rows", "logits", "state"};
  const std::vector<cuda::PlanInput> given{{names[0], flat, tokens.data()},
                                           {names[1], flat, positions.data()},
                                           {names[2], one, &length},
                                           {names[3], square, tree.get()},
                                           {names[4], flat, rows.data()}};
  const std::vector<cuda::PlanOutput> made{output(names[5], step.logits), output(names[6], step.states)};
  model_.verify->run({model_.verify_profiles[size(width) - 1], given, made, model_.caches, step.slot, 1});
}

void HostPlanLoop::pick(Step& step) {
  std::vector<float> scratch(step.logits.size());
  const cuda::StepScores scores{step.logits.data(), scratch.data(), nullptr};
  const cuda::HostBlock block(kThreads, 1);
  const auto shared = std::make_unique<cuda::PickStepShared<kThreads, kListed>>();
  for (std::int32_t row = 0; row < step.width; ++row) {
    cuda::pick_step_row(block, state_, step.rows(), scores, 0, row, step.picks.data(), *shared);
  }
}

void HostPlanLoop::draft(Step& step, std::int32_t depths) {
  std::vector<float> state(size(model_.hidden));
  for (std::int32_t unit = 0; unit < model_.hidden; ++unit) {
    cuda::gather_state(step.states.data(), state.data(), model_.hidden, step.rows(), &step.outcome, 0, unit);
  }
  const std::int32_t entries =
      model_.draft_ids.empty() ? model_.vocab : static_cast<std::int32_t>(model_.draft_ids.size());
  const cuda::HostBlock block(kThreads, 1);
  const auto shared = std::make_unique<cuda::PickShared<kThreads, kListed>>();
  std::vector<float> found;
  std::int64_t token = step.last;
  for (std::int32_t depth = 0; depth < depths; ++depth) {
    const bool runs = model_.sequential || depth == 0;
    if (runs) found = scores(model_.heads[size(depth)], state, token);
    const std::size_t first = model_.sequential ? 0 : size(depth, entries);
    const Token* ids = model_.draft_ids.empty() ? nullptr : model_.draft_ids.data();
    cuda::pick_draft(block, state_, step.drafting(), {found.data() + first, ids, entries, depth, &token}, 0,
                     *shared);
  }
}

/// Runs a head on `state`, which becomes the next one where heads are sequential.
std::vector<float> HostPlanLoop::scores(const cuda::PlanHead& head, std::vector<float>& state,
                                        std::int64_t token) const {
  const std::size_t entries = model_.draft_ids.empty() ? size(model_.vocab) : model_.draft_ids.size();
  std::vector<float> logits(entries * (model_.sequential ? 1 : model_.heads.size()));
  const std::vector<std::int64_t> row{1, 1, model_.hidden};
  const std::vector<std::int64_t> one{1, 1};
  const std::string names[] = {"state", "tokens", "logits", "next_state"};
  std::vector<cuda::PlanInput> inputs{{names[0], row, state.data()}};
  std::vector<float> next(state.size());
  std::vector<cuda::PlanOutput> outputs{output(names[2], logits)};
  if (model_.sequential) {
    inputs.push_back({names[1], one, &token});
    outputs.push_back(output(names[3], next));
  }
  head.plan->run({head.profile, inputs, outputs, nullptr, 0, 1});
  if (model_.sequential) state = std::move(next);
  return logits;
}

}  // namespace mtp_rt::testing
