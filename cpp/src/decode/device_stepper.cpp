#include "decode/device_stepper.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "decode/draft_plan.h"
#include "decode/guarded.h"
#include "decode/row_plan.h"
#include "decode/running_costs.h"

namespace mtp_rt {
namespace {

constexpr float kOwnChance = 0.5F;  // of every draft: sources go by what became of those before

/// The sequences of a step that run in one place, and where their results go.
struct Part {
  std::vector<Sequence*> sequences;
  std::vector<StepResult*> results;
};

}  // namespace

std::unique_ptr<Stepper> make_stepper(Engine& engine, StepperOptions options) {
  DeviceLoop* loop = engine.device_loop();
  if (loop == nullptr) return std::make_unique<HostStepper>(engine, std::move(options));
  return std::make_unique<DeviceStepper>(engine, *loop, options);
}

DeviceStepper::DeviceStepper(Engine& engine, DeviceLoop& loop, const StepperOptions& options)
    : engine_(engine),
      loop_(loop),
      host_(engine, options),
      prefill_chunk_(options.prefill_chunk),
      depths_(static_cast<std::size_t>(engine.info().slots)) {}

bool DeviceStepper::runs_in_loop(const Sequence& sequence) const noexcept {
  return sequence.generated() > 0 && loop_.takes(sequence.request());
}

std::vector<StepResult> DeviceStepper::step(std::span<Sequence* const> sequences) {
  std::vector<StepResult> results(sequences.size());
  Part host;
  Part loop;
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    Part& part = runs_in_loop(*sequences[i]) ? loop : host;
    part.sequences.push_back(sequences[i]);
    part.results.push_back(&results[i]);
  }
  if (!host.sequences.empty()) step_on_host(host.sequences, host.results);
  if (!loop.sequences.empty()) step_in_loop(loop.sequences, loop.results);
  return results;
}

void DeviceStepper::step_on_host(std::span<Sequence* const> sequences, std::span<StepResult* const> results) {
  std::vector<StepResult> found = host_.step(sequences);
  for (std::size_t i = 0; i < found.size(); ++i) *results[i] = std::move(found[i]);
}

void DeviceStepper::step_in_loop(std::span<Sequence* const> sequences, std::span<StepResult* const> results) {
  std::vector<Work> works = plan(sequences, results);
  if (works.empty()) return;
  try {
    run(works);
  } catch (const std::exception& error) {
    for (const Work& work : works) work.result->error = error.what();
    return;
  }
  const Clock::time_point now = host_.now();
  std::vector<Work*> going;
  for (Work& work : works) {
    work.result->error = std::move(work.done.error);
    if (work.result->error) continue;
    advance(work, now);
    if (!work.sequence->finish()) going.push_back(&work);
  }
  if (!going.empty()) propose(going);
}

/// Admits who is new to the loop and shares out rows; whom they do not reach waits.
std::vector<DeviceStepper::Work> DeviceStepper::plan(std::span<Sequence* const> sequences,
                                                     std::span<StepResult* const> results) {
  const RowLimits limits{engine_.info().max_rows, prefill_chunk_};
  const std::vector<RowShare> shares = plan_rows(sequences, limits, host_.costs().verify.for_next_call());
  std::vector<Work> works;
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    if (shares[i].pending == 0) continue;
    const Sequence& sequence = *sequences[i];
    results[i]->ran = true;
    guarded(*results[i], [&] {
      if (!loop_.holds(sequence.slot())) admit(sequence);
    });
    if (results[i]->error) continue;
    const std::int32_t drafts = std::min(shares[i].drafts, loop_.max_rows() - 1);
    const LoopRow row{sequence.slot(), &sequence.proposal().tree, drafts, depths(sequence)};
    works.push_back({sequences[i], results[i], row, {}});
  }
  return works;
}

std::int32_t& DeviceStepper::depths(const Sequence& sequence) {
  return depths_[static_cast<std::size_t>(sequence.slot())];
}

void DeviceStepper::admit(const Sequence& sequence) {
  loop_.admit(sequence.slot(), sequence.request(), sequence.tokens());
  depths(sequence) = std::min(loop_.max_depths(), sequence.request().drafts.max_drafts);
}

void DeviceStepper::run(std::span<Work> works) {
  std::vector<LoopRow> rows;
  for (const Work& work : works) rows.push_back(work.row);
  std::vector<LoopResult> done = loop_.step(rows);
  for (std::size_t i = 0; i < works.size(); ++i) works[i].done = std::move(done[i]);
}

void DeviceStepper::advance(Work& work, Clock::time_point now) {
  const std::int32_t drafted = depth_of(*work.row.tree, work.row.drafts);
  work.sequence->commit(work.done.tokens, drafted, work.done.accepted, now);
  work.result->commit.tokens = std::move(work.done.tokens);
}

/// Lets the sequences that go on propose what the next step verifies, and say how deep it is to draft.
void DeviceStepper::propose(std::span<Work* const> works) {
  const Clock::time_point start = host_.now();
  std::vector<DraftWish> wishes(works.size());
  for (std::size_t i = 0; i < works.size(); ++i) {
    Sequence& sequence = *works[i]->sequence;
    wishes[i].adaptive = sequence.request().drafts.adaptive;
    guarded(*works[i]->result, [&] { wishes[i].prospects = sequence.prospects(); });
    const auto most = static_cast<std::size_t>(loop_.max_depths() * wishes[i].prospects.width);
    std::vector<float>& chances = wishes[i].prospects.chances;
    chances.resize(std::min(chances.size(), most));
  }
  const StepCosts& costs = host_.costs();
  const std::vector<DraftShare> shares = plan_drafts(wishes, static_cast<std::int32_t>(works.size()),
                                                     {costs.verify.for_next_call(), costs.draft.expected()});
  for (std::size_t i = 0; i < works.size(); ++i) {
    Sequence& sequence = *works[i]->sequence;
    depths(sequence) = shares[i].depths;
    const Prospects& wanted = wishes[i].prospects;
    const std::size_t deepest = wanted.chances.size() / static_cast<std::size_t>(wanted.width);
    const std::span<const Token> drafted = works[i]->done.drafted;
    const std::size_t count = std::min(deepest, drafted.size());
    const std::vector<float> chances(count, kOwnChance);
    if (works[i]->result->error) continue;
    guarded(*works[i]->result, [&] { sequence.draft({1, drafted.first(count), chances}); });
  }
  const Clock::duration spent = host_.now() - start;
  for (Work* work : works) work->sequence->spend_drafting(spent);
}

}  // namespace mtp_rt
