// An engine without a model: logits are a hash of what was committed and of the row's own path.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "mtp_rt/engine.h"
#include "mtp_rt/sequence.h"

namespace mtp_rt::testing {

/// What the heads of a fake engine draft behind a text: tokens with chances [count, width], or fewer.
using FakeHeads = std::function<std::vector<std::pair<Token, float>>(const std::vector<Token>& text,
                                                                     std::int32_t count, std::int32_t width)>;

struct FakeOptions {
  std::int32_t slots = 1;
  std::int32_t context = 4096;
  std::int32_t max_rows = 64;
  std::int32_t vocab_size = 64;
  std::int32_t order = 0;           // logits depend on the last `order` tokens; 0: on all
  std::int32_t fail_verify_at = 0;  // the n-th verify call throws, counted from 1; 0: none
  std::int32_t fail_commit_at = 0;
  std::int32_t fail_release_at = 0;
  std::int32_t nan_at = 0;  // in the n-th verify call, the logits of `nan_slot` are NaN
  std::int32_t nan_slot = 0;
  std::int32_t extra_heads = 0;
  std::int32_t fail_draft_at = 0;
};

/// Holds the loop to the contract of Engine: a row whose position, parent or place is wrong is refused, and
/// anything left in a slot that should not be there changes the text that follows.
class FakeEngine final : public Engine {
 public:
  explicit FakeEngine(const FakeOptions& options);

  [[nodiscard]] const EngineInfo& info() const noexcept override { return info_; }
  [[nodiscard]] std::int32_t length(Slot slot) const override;
  void verify(std::span<const VerifyRow> rows, const VerifyOutputs& outputs) override;
  void commit(std::span<const KeptRows> kept) override;
  void draft(std::span<const DraftRow> rows, const DraftOutputs& outputs) override;
  void release(Slot slot) override;

  /// Lets calls of w rows take `times[w - 1]` milliseconds of the engine's own time; wider ones as much again
  /// for each row as the last. Until set, all calls take none.
  void set_verify_ms(std::vector<double> times) { verify_ms_ = std::move(times); }

  /// The same of each depth of a draft call of r slots.
  void set_draft_ms(std::vector<double> times) { draft_ms_ = std::move(times); }

  /// Gives the heads what they draft, and what is said to be known of how often that is accepted.
  void set_heads(FakeHeads heads, std::vector<float> acceptance) {
    heads_ = std::move(heads);
    info_.acceptance = std::move(acceptance);
  }

  /// The engine's own time: calls move it on, nothing else does.
  [[nodiscard]] Clock::time_point now() const noexcept { return now_; }

  [[nodiscard]] std::int32_t verify_calls() const noexcept { return verify_calls_; }
  [[nodiscard]] std::int32_t draft_calls() const noexcept { return draft_calls_; }

  /// Depths drafted in all calls, and the candidates for them.
  [[nodiscard]] std::int32_t drafted() const noexcept { return drafted_; }
  [[nodiscard]] std::int32_t candidates() const noexcept { return candidates_; }
  [[nodiscard]] std::int32_t most_rows() const noexcept { return most_rows_; }

 private:
  /// A place in a text: the token there and a hash of everything up to it.
  struct Place {
    Token token = 0;
    std::uint64_t hash = 0;
  };
  struct Row {
    Slot slot = 0;
    std::int32_t parent = -1;
    Place place;
  };

  const std::vector<Place>& state(Slot slot) const;
  Row run_row(std::span<const VerifyRow> rows, std::size_t index) const;
  std::uint64_t seed_of(std::size_t index) const;
  void check_draft(std::span<const DraftRow> rows, const DraftOutputs& outputs) const;

  void pass(std::span<const double> times, std::size_t rows);

  FakeOptions options_;
  EngineInfo info_;
  FakeHeads heads_;
  std::vector<double> verify_ms_;
  std::vector<double> draft_ms_;
  Clock::time_point now_;
  std::vector<std::vector<Place>> committed_;  // [slots][length]
  std::vector<Row> last_call_;
  std::int32_t verify_calls_ = 0;
  std::int32_t commit_calls_ = 0;
  std::int32_t release_calls_ = 0;
  std::int32_t most_rows_ = 0;
  std::int32_t draft_calls_ = 0;
  std::int32_t drafted_ = 0;
  std::int32_t candidates_ = 0;
};

}  // namespace mtp_rt::testing
