#include "mtp_rt/scheduler.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "mtp_rt/cost_curve.h"
#include "mtp_rt/error.h"

namespace mtp_rt {
namespace {

constexpr std::int32_t kMeasuredWidths = 16;

bool drafts_adaptively(const Request& request) {
  return request.drafts.adaptive && request.drafts.max_drafts > 0 &&
         (request.draft_source || request.drafts.source != "none");
}

Event finished(RequestId id, FinishReason reason, Stats stats) {
  Event event;
  event.request = id;
  event.finish = reason;
  event.stats = std::move(stats);
  return event;
}

Event failed(RequestId id, std::string error, Stats stats) {
  Event event = finished(id, FinishReason::error, std::move(stats));
  event.error = std::move(error);
  return event;
}

Stats unstarted(const Request& request) {
  Stats stats;
  stats.prompt_tokens = static_cast<std::int32_t>(request.prompt.size());
  return stats;
}

Engine& checked(const std::shared_ptr<Engine>& engine) {
  if (!engine) throw ArgumentError("engine: null");
  return *engine;
}

}  // namespace

Scheduler::Scheduler(std::shared_ptr<Engine> engine, StepperOptions options)
    : engine_(std::move(engine)), stepper_(make_stepper(checked(engine_), std::move(options))) {
  for (Slot slot = engine_->info().slots - 1; slot >= 0; --slot) free_slots_.push_back(slot);
}

Scheduler::~Scheduler() {
  for (const Running& running : active_) leave(running.id, running.sequence.slot());
}

RequestId Scheduler::submit(Request request) {
  check(request, engine_->info());
  const std::scoped_lock lock(mutex_);
  waiting_.push_back({next_id_, std::move(request), stepper_->now()});
  return next_id_++;
}

bool Scheduler::cancel(RequestId request) {
  const std::scoped_lock lock(mutex_);
  if (running_ids_.contains(request)) return cancelled_ids_.insert(request).second;
  const auto found = std::ranges::find(waiting_, request, &Waiting::id);
  if (found == waiting_.end()) return false;
  withdrawn_.push_back(std::move(*found));
  waiting_.erase(found);
  return true;
}

std::size_t Scheduler::running() const {
  const std::scoped_lock lock(mutex_);
  return running_ids_.size();
}

std::size_t Scheduler::waiting() const {
  const std::scoped_lock lock(mutex_);
  return waiting_.size();
}

std::vector<Event> Scheduler::run_once() {
  const std::scoped_lock lock(step_mutex_);
  std::vector<Event> events;
  end_cancelled(events);
  for (Waiting& waiting : take_admissible()) admit(std::move(waiting), events);
  step(events);
  return events;
}

void Scheduler::end_cancelled(std::vector<Event>& events) {
  std::vector<Waiting> withdrawn;
  std::unordered_set<RequestId> cancelled;
  {
    const std::scoped_lock lock(mutex_);
    withdrawn.swap(withdrawn_);
    cancelled = cancelled_ids_;
  }
  for (const Waiting& waiting : withdrawn) {
    events.push_back(finished(waiting.id, FinishReason::cancelled, unstarted(waiting.request)));
  }
  for (const Running& running : active_) {
    if (!cancelled.contains(running.id)) continue;
    events.push_back(finished(running.id, FinishReason::cancelled, running.sequence.stats()));
    leave(running.id, running.sequence.slot());
  }
  std::erase_if(active_, [&](const Running& running) { return cancelled.contains(running.id); });
}

std::vector<Scheduler::Waiting> Scheduler::take_admissible() {
  const std::scoped_lock lock(mutex_);
  std::vector<Waiting> admissible;
  while (!waiting_.empty() && admissible.size() < free_slots_.size()) {
    running_ids_.insert(waiting_.front().id);
    admissible.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  return admissible;
}

void Scheduler::admit(Waiting waiting, std::vector<Event>& events) {
  const Slot slot = free_slots_.back();
  free_slots_.pop_back();
  const Stats stats = unstarted(waiting.request);
  try {
    if (engine_->length(slot) != 0) engine_->release(slot);  // an earlier release failed
    if (!stepper_->has_costs() && drafts_adaptively(waiting.request)) {
      const std::vector<double> verify_ms = measure_costs(*engine_, kMeasuredWidths, slot);
      stepper_->set_costs(verify_ms, measure_draft_costs(*engine_, {&slot, 1}));
    }
    active_.push_back(
        {waiting.id, Sequence(std::move(waiting.request), engine_->info(), slot, waiting.submitted)});
  } catch (const std::exception& error) {
    events.push_back(failed(waiting.id, error.what(), stats));
    leave(waiting.id, slot);
  }
}

void Scheduler::step(std::vector<Event>& events) {
  std::vector<Sequence*> sequences;
  for (Running& running : active_) sequences.push_back(&running.sequence);
  std::vector<StepResult> results = stepper_->step(sequences);
  std::vector<Running> served;
  std::vector<Running> skipped;
  for (std::size_t i = 0; i < active_.size(); ++i) {
    Running& running = active_[i];
    StepResult& result = results[i];
    const std::optional<FinishReason> finish = running.sequence.finish();
    Event event;
    event.request = running.id;
    if (result.error && !finish) {
      event = failed(running.id, std::move(*result.error), running.sequence.stats());
    } else if (finish) {
      event = finished(running.id, *finish, running.sequence.stats());
    }
    event.commit = std::move(result.commit);
    if (event.finish) leave(running.id, running.sequence.slot());
    if (!event.finish) (result.ran ? served : skipped).push_back(std::move(running));
    if (event.finish || !event.commit.tokens.empty()) events.push_back(std::move(event));
  }
  // Whom the rows did not reach comes first next time.
  active_ = std::move(skipped);
  std::ranges::move(served, std::back_inserter(active_));
}

void Scheduler::leave(RequestId id, Slot slot) {
  try {
    engine_->release(slot);
  } catch (const std::exception&) {  // tried again when the slot is next used
  }
  free_slots_.push_back(slot);
  const std::scoped_lock lock(mutex_);
  running_ids_.erase(id);
  cancelled_ids_.erase(id);
}

}  // namespace mtp_rt
