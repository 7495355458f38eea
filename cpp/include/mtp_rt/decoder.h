// One step of several sequences: verify, pick, accept, commit, draft.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "mtp_rt/engine.h"
#include "mtp_rt/sequence.h"

namespace mtp_rt {

/// What a step did for one sequence.
struct StepResult {
  bool ran = false;                  // it had rows in the call
  Commit commit;                     // empty while a prompt is being read
  std::optional<std::string> error;  // why it can go no further; it is as `commit` left it
};

struct StepperOptions {
  std::int32_t prefill_chunk = 128;  // prompt rows per call
  std::vector<double>
      verify_ms{};  // [w - 1]: measured time of a call of w rows; empty: adaptive sequences do not draft
  std::vector<double>
      draft_ms{};  // [r - 1]: measured time of one depth of a draft call of r slots; empty: guessed
  std::function<Clock::time_point()> now = &Clock::now;  // what calls are timed by
};

struct StepCosts;
struct DraftShare;

/// Runs the loop. Used by one thread at a time, together with the engine.
class Stepper {
 public:
  virtual ~Stepper() = default;
  Stepper() = default;
  Stepper(const Stepper&) = delete;
  Stepper& operator=(const Stepper&) = delete;

  /// Whether the times of verify calls are known.
  [[nodiscard]] virtual bool has_costs() const noexcept = 0;

  /// Replaces them.
  virtual void set_costs(std::span<const double> verify_ms, std::span<const double> draft_ms) = 0;

  [[nodiscard]] virtual Clock::time_point now() const = 0;

  /// One step. Sequences are unfinished and own their slots; where the rows do not suffice, the later ones
  /// wait. An error that concerns one sequence is in its result; an error of the engine is in the results of
  /// all that ran.
  [[nodiscard]] virtual std::vector<StepResult> step(std::span<Sequence* const> sequences) = 0;
};

/// Steps on the engine's own loop where it has one, else on the host. `engine` outlives the stepper.
/// Throws ArgumentError on options out of range.
[[nodiscard]] std::unique_ptr<Stepper> make_stepper(Engine& engine, StepperOptions options);

/// Runs the loop on the host over any engine: the reference.
///
/// Prefilling, plain and drafted decoding are the same step: a sequence's pending tokens as a chain, its
/// drafts as a tree behind them, one verify call for all sequences.
class HostStepper final : public Stepper {
 public:
  HostStepper(Engine& engine, StepperOptions options);
  ~HostStepper() override;

  [[nodiscard]] bool has_costs() const noexcept override;

  /// From then on each call that reads no prompt corrects them.
  void set_costs(std::span<const double> verify_ms, std::span<const double> draft_ms) override;

  [[nodiscard]] const StepCosts& costs() const noexcept { return *costs_; }
  [[nodiscard]] Clock::time_point now() const override { return options_.now(); }
  [[nodiscard]] std::vector<StepResult> step(std::span<Sequence* const> sequences) override;

 private:
  /// A sequence's rows in the call and what becomes of them.
  struct Work {
    Sequence* sequence = nullptr;
    StepResult* result = nullptr;
    std::int32_t first_row = 0;
    std::int32_t pending = 0;
    std::int32_t drafts = 0;
    std::int32_t first_logits = -1;  // index of the last pending row's logits; -1: none wanted
    std::vector<std::int32_t> kept;  // rows of the call
    Commit chosen;                   // what the sequence takes of the accepted path
    std::int32_t accepted = 0;       // drafts that stood
  };

  [[nodiscard]] std::vector<Work> plan(std::span<Sequence* const> sequences,
                                       std::vector<StepResult>& results);
  void add_rows(Work& work);
  void verify(std::span<const Work> works);
  void choose(Work& work);
  void commit(std::span<Work> works);
  void advance(Work& work, Clock::time_point now);
  void draft(std::span<Work> works);
  void run_heads(std::span<Work* const> works, std::span<const DraftShare> shares);
  [[nodiscard]] std::span<const float> logits_of(std::int32_t index) const;

  Engine& engine_;
  StepperOptions options_;
  std::unique_ptr<StepCosts> costs_;
  std::vector<VerifyRow> rows_;
  std::int32_t logit_rows_ = 0;
  std::vector<float> logits_;
  std::vector<Token> head_tokens_;   // drafted in the last call, row after row
  std::vector<float> head_chances_;  // the same
};

}  // namespace mtp_rt
