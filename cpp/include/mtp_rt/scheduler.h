// Many requests over one engine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "mtp_rt/decoder.h"
#include "mtp_rt/engine.h"
#include "mtp_rt/sequence.h"

namespace mtp_rt {

using RequestId = std::int64_t;

/// What one step committed for one request, or how it ended.
struct Event {
  RequestId request = 0;
  Commit commit;
  std::optional<FinishReason> finish;
  std::optional<std::string> error;  // with FinishReason::error
  std::optional<Stats> stats;        // with a finish
};

/// Runs requests side by side: first come first served to the engine's slots, one verify call a step for all.
///
/// Any thread may submit, cancel and ask; run_once() may be called from any thread too, one call at a time
/// runs. No other user may touch the engine meanwhile.
class Scheduler {
 public:
  /// Throws ArgumentError on options out of range. Without `options.verify_ms` the first adaptive request
  /// measures the engine in its own slot.
  explicit Scheduler(std::shared_ptr<Engine> engine, StepperOptions options = {});

  /// Releases the slots in use.
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  /// Queues a request. Throws what check(request) throws.
  RequestId submit(Request request);

  /// Ends a request: its last event comes from the next run_once(), at most one step's tokens before it.
  /// False if there is no such request or it has ended.
  bool cancel(RequestId request);

  /// Admits waiting requests, then runs one step of those admitted. Never throws for what an engine or a
  /// request does: such errors are events, and the scheduler stays usable.
  [[nodiscard]] std::vector<Event> run_once();

  [[nodiscard]] std::size_t running() const;
  [[nodiscard]] std::size_t waiting() const;

 private:
  struct Waiting {
    RequestId id = 0;
    Request request;
    Clock::time_point submitted;
  };
  struct Running {
    RequestId id = 0;
    Sequence sequence;
  };

  void end_cancelled(std::vector<Event>& events);
  [[nodiscard]] std::vector<Waiting> take_admissible();
  void admit(Waiting waiting, std::vector<Event>& events);
  void step(std::vector<Event>& events);
  void leave(RequestId id, Slot slot);

  const std::shared_ptr<Engine> engine_;

  std::mutex step_mutex_;  // held by run_once(); guards the three below
  const std::unique_ptr<Stepper> stepper_;
  std::vector<Running> active_;
  std::vector<Slot> free_slots_;  // the next one last

  mutable std::mutex mutex_;  // guards the queues; never held during a step
  RequestId next_id_ = 1;
  std::deque<Waiting> waiting_;
  std::vector<Waiting> withdrawn_;  // cancelled while waiting, event due
  std::unordered_set<RequestId> running_ids_;
  std::unordered_set<RequestId> cancelled_ids_;  // of running_ids_
};

}  // namespace mtp_rt
