// Steps on an engine's own loop.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "mtp_rt/decoder.h"
#include "mtp_rt/device_loop.h"

namespace mtp_rt {

/// Prompts are read on the host; behind its first token a sequence moves into the loop, if that takes its
/// request, and stays there. What verifies, picks, commits and drafts is the loop then; what to propose is
/// decided by the sequence's source, as on the host, between two steps.
///
/// The loop drafts before the source is asked, so as deep as the source wanted the last time. Its drafts come
/// without chances.
class DeviceStepper final : public Stepper {
 public:
  /// `loop` is the engine's; both outlive the stepper.
  DeviceStepper(Engine& engine, DeviceLoop& loop, const StepperOptions& options);

  [[nodiscard]] bool has_costs() const noexcept override { return host_.has_costs(); }
  void set_costs(std::span<const double> verify_ms, std::span<const double> draft_ms) override {
    host_.set_costs(verify_ms, draft_ms);
  }
  [[nodiscard]] Clock::time_point now() const override { return host_.now(); }
  [[nodiscard]] std::vector<StepResult> step(std::span<Sequence* const> sequences) override;

 private:
  /// A sequence in the loop's step and what comes of it.
  struct Work {
    Sequence* sequence = nullptr;
    StepResult* result = nullptr;
    LoopRow row;
    LoopResult done;
  };

  [[nodiscard]] bool runs_in_loop(const Sequence& sequence) const noexcept;
  void step_on_host(std::span<Sequence* const> sequences, std::span<StepResult* const> results);
  void step_in_loop(std::span<Sequence* const> sequences, std::span<StepResult* const> results);
  [[nodiscard]] std::vector<Work> plan(std::span<Sequence* const> sequences,
                                       std::span<StepResult* const> results);
  [[nodiscard]] std::int32_t& depths(const Sequence& sequence);
  void admit(const Sequence& sequence);
  void run(std::span<Work> works);
  void advance(Work& work, Clock::time_point now);
  void propose(std::span<Work* const> works);

  Engine& engine_;
  DeviceLoop& loop_;
  HostStepper host_;
  std::int32_t prefill_chunk_;
  std::vector<std::int32_t> depths_;  // [slots] to be drafted at the end of the next step
};

}  // namespace mtp_rt
