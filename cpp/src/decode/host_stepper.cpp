#include <algorithm>
#include <chrono>
#include <exception>
#include <string>
#include <utility>

#include "decode/draft_walk.h"
#include "decode/guarded.h"
#include "decode/row_plan.h"
#include "decode/running_costs.h"
#include "mtp_rt/decoder.h"
#include "mtp_rt/error.h"

namespace mtp_rt {
namespace {

using Milliseconds = std::chrono::duration<double, std::milli>;

constexpr double kDraftShare = 0.05;  // of a plain step, one draft; where nothing is known

void check_times(const char* name, std::span<const double> times) {
  for (const double time : times) {
    if (time > 0.0 && time < 1e9) continue;
    throw ArgumentError(std::string(name) + ": " + std::to_string(time) + " is not a positive time");
  }
}

}  // namespace

HostStepper::HostStepper(Engine& engine, StepperOptions options)
    : engine_(engine), options_(std::move(options)), costs_(std::make_unique<StepCosts>()) {
  if (options_.prefill_chunk < 1) {
    throw ArgumentError("prefill_chunk: " + std::to_string(options_.prefill_chunk) + " is below 1");
  }
  set_costs(options_.verify_ms, options_.draft_ms);
}

HostStepper::~HostStepper() = default;

bool HostStepper::has_costs() const noexcept { return !costs_->verify.expected().empty(); }

void HostStepper::set_costs(std::span<const double> verify_ms, std::span<const double> draft_ms) {
  check_times("verify_ms", verify_ms);
  check_times("draft_ms", draft_ms);
  const EngineInfo& info = engine_.info();
  costs_->verify = RunningCosts(verify_ms, info.max_rows);
  costs_->draft = RunningCosts(draft_ms, info.slots);
  if (!draft_ms.empty() || verify_ms.empty()) return;
  // Reading weights is most of what a call does.
  const double share = info.weight_bytes > 0
                           ? static_cast<double>(info.head_bytes) / static_cast<double>(info.weight_bytes)
                           : 0;
  const double guess = verify_ms[0] * (share > 0 ? share : kDraftShare);
  costs_->draft = RunningCosts({&guess, 1}, info.slots);
}

std::vector<StepResult> HostStepper::step(std::span<Sequence* const> sequences) {
  std::vector<StepResult> results(sequences.size());
  std::vector<Work> works = plan(sequences, results);
  if (works.empty()) return results;
  try {
    verify(works);
    for (Work& work : works) {
      guarded(*work.result, [&] { choose(work); });
    }
    commit(works);
  } catch (const std::exception& error) {
    for (const Work& work : works) work.result->error = error.what();
    return results;
  }
  const Clock::time_point now = options_.now();
  for (Work& work : works) {
    if (!work.result->error) advance(work, now);
  }
  draft(works);
  return results;
}

/// Moves the sequence past what the engine has committed.
void HostStepper::advance(Work& work, Clock::time_point now) {
  if (work.first_logits < 0) {
    work.sequence->cache(work.pending);
    return;
  }
  const std::int32_t drafted = depth_of(work.sequence->proposal().tree, work.drafts);
  work.sequence->commit(work.chosen.tokens, drafted, work.accepted, now);
  work.result->commit = std::move(work.chosen);
}

std::vector<HostStepper::Work> HostStepper::plan(std::span<Sequence* const> sequences,
                                                 std::vector<StepResult>& results) {
  const RowLimits limits{engine_.info().max_rows, options_.prefill_chunk};
  const std::vector<RowShare> shares = plan_rows(sequences, limits, costs_->verify.for_next_call());
  rows_.clear();
  logit_rows_ = 0;
  std::vector<Work> works;
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    if (shares[i].pending == 0) continue;
    results[i].ran = true;
    Work& work = works.emplace_back();
    work.sequence = sequences[i];
    work.result = &results[i];
    work.pending = shares[i].pending;
    work.drafts = shares[i].drafts;
    add_rows(work);
  }
  return works;
}

void HostStepper::add_rows(Work& work) {
  const Sequence& sequence = *work.sequence;
  work.first_row = static_cast<std::int32_t>(rows_.size());
  const bool reaches_end = work.pending == sequence.pending();
  for (std::int32_t i = 0; i < work.pending; ++i) {
    const std::int32_t position = sequence.cached() + i;
    rows_.push_back({.slot = sequence.slot(),
                     .token = sequence.tokens()[static_cast<std::size_t>(position)],
                     .position = position,
                     .parent = i == 0 ? -1 : work.first_row + i - 1,
                     .wants_logits = reaches_end && i == work.pending - 1});
  }
  if (!reaches_end) return;
  const std::int32_t root = work.first_row + work.pending - 1;
  const DraftTree& tree = sequence.proposal().tree;
  for (std::int32_t i = 0; i < work.drafts; ++i) {
    const std::int32_t parent = root + tree.parents[static_cast<std::size_t>(i)];
    rows_.push_back({.slot = sequence.slot(),
                     .token = tree.tokens[static_cast<std::size_t>(i)],
                     .position = rows_[static_cast<std::size_t>(parent)].position + 1,
                     .parent = parent,
                     .wants_logits = true});
  }
  work.first_logits = logit_rows_;
  logit_rows_ += 1 + work.drafts;
}

/// Runs the rows; a call that reads no prompt tells what calls of its width cost now.
void HostStepper::verify(std::span<const Work> works) {
  const auto needed =
      static_cast<std::size_t>(logit_rows_) * static_cast<std::size_t>(engine_.info().vocab_size);
  if (logits_.size() < needed) logits_.resize(needed);
  VerifyOutputs outputs;
  outputs.logits = std::span(logits_).first(needed);
  const Clock::time_point start = options_.now();
  engine_.verify(rows_, outputs);
  if (!has_costs() || std::ranges::any_of(works, [](const Work& work) { return work.pending > 1; })) return;
  const Milliseconds time = options_.now() - start;
  costs_->verify.observe(static_cast<std::int32_t>(rows_.size()), time.count());
}

std::span<const float> HostStepper::logits_of(std::int32_t index) const {
  const auto vocab = static_cast<std::size_t>(engine_.info().vocab_size);
  return std::span(logits_).subspan(static_cast<std::size_t>(index) * vocab, vocab);
}

/// Walks the drafts, then fills work.chosen and work.kept with what the sequence can take of the path.
void HostStepper::choose(Work& work) {
  for (std::int32_t i = 0; i < work.pending; ++i) work.kept.push_back(work.first_row + i);
  if (work.first_logits < 0) return;
  Sequence& sequence = *work.sequence;
  std::vector<Token>& picks = work.chosen.tokens;
  const DraftTree& tree = sequence.proposal().tree;
  std::vector<std::int32_t> path;  // tree rows
  std::vector<Token> drafts;       // accepted: the tokens of the path behind the root
  static_cast<void>(walk_drafts(
      tree.tokens.data(), tree.parents.data(), work.drafts,
      [&](std::int32_t row) {
        const PickContext context = sequence.context_after(drafts);
        picks.push_back(pick(logits_of(work.first_logits + row), context, sequence.request().params));
        return picks.back();
      },
      [&](std::int32_t row) {
        path.push_back(row);
        if (row > 0) drafts.push_back(tree.tokens[static_cast<std::size_t>(row) - 1]);
      }));
  work.accepted = static_cast<std::int32_t>(drafts.size());
  picks.resize(sequence.usable(picks));
  const std::int32_t root = work.first_row + work.pending - 1;
  for (std::size_t i = 1; i < picks.size(); ++i) work.kept.push_back(root + path[i]);

  const std::optional<std::int32_t> wanted = sequence.request().logprobs;
  if (!wanted) return;
  for (std::size_t i = 0; i < picks.size(); ++i) {
    work.chosen.logprobs.push_back(logprobs(logits_of(work.first_logits + path[i]), picks[i], *wanted));
  }
}

void HostStepper::commit(std::span<Work> works) {
  std::vector<KeptRows> kept;
  for (const Work& work : works) {
    if (!work.result->error) kept.push_back({work.sequence->slot(), work.kept});
  }
  if (!kept.empty()) engine_.commit(kept);
}

}  // namespace mtp_rt
