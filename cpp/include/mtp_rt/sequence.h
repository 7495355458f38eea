// One request on its way: what was asked for, what is committed, what is drafted.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mtp_rt/drafting.h"
#include "mtp_rt/engine.h"
#include "mtp_rt/sampling.h"
#include "mtp_rt/token.h"

namespace mtp_rt {

using Clock = std::chrono::steady_clock;

/// What a caller asks for.
struct Request {
  std::vector<Token> prompt;
  SamplingParams params;
  std::int32_t max_tokens = 256;
  std::int32_t min_tokens = 0;        // stop tokens cannot be chosen before
  std::vector<Token> stop_token_ids;  // each ends the text and is its last token
  std::optional<std::int32_t>
      logprobs;  // 0 .. 20: with each token, its and that many likeliest log-probabilities
  DraftOptions drafts;
  std::shared_ptr<DraftSource> draft_source;  // instead of drafts.source; serves this request alone
};

/// Throws ArgumentError naming the field that is out of range, CapacityError for a prompt that does not fit.
void check(const Request& request, const EngineInfo& info);

enum class FinishReason { stop, length, cancelled, error };

/// "stop", "length", "cancelled" or "error".
[[nodiscard]] std::string_view to_string(FinishReason reason) noexcept;

struct Stats {
  std::int32_t prompt_tokens = 0;
  std::int32_t generated_tokens = 0;
  std::int32_t steps = 0;                           // verify calls after prefill
  std::vector<std::int32_t> drafted_per_position;   // [k]: rounds that verified a draft at depth k + 1
  std::vector<std::int32_t> accepted_per_position;  // [k]: rounds that committed it
  double prefill_seconds = 0.0;                     // submit to the first committed token
  double decode_seconds = 0.0;                      // first to last committed token
  std::map<std::string, std::int32_t, std::less<>> drafted_by_source;   // drafts verified, along the depth
  std::map<std::string, std::int32_t, std::less<>> accepted_by_source;  // and committed
  double draft_seconds = 0.0;  // share of decode_seconds spent drafting, for any sequence of its steps
};

/// The tokens that one step adds to a sequence.
struct Commit {
  std::vector<Token> tokens;
  std::vector<std::vector<TokenLogprob>> logprobs;  // per token, where the request wants them
};

class TokenCounts;

/// The state of one stream. Between steps its last token is committed but not yet in the cache:
/// cached() == tokens().size() - 1, or less while the prompt is being read.
class Sequence {
 public:
  /// `request` has passed check(); `submitted` is when it arrived.
  Sequence(Request request, const EngineInfo& info, Slot slot, Clock::time_point submitted);
  ~Sequence();
  Sequence(Sequence&&) noexcept;
  Sequence& operator=(Sequence&&) noexcept;

  [[nodiscard]] const Request& request() const noexcept { return request_; }
  [[nodiscard]] Slot slot() const noexcept { return slot_; }
  [[nodiscard]] std::span<const Token> tokens() const noexcept { return tokens_; }
  [[nodiscard]] std::int32_t generated() const noexcept { return stats_.generated_tokens; }
  [[nodiscard]] std::int32_t cached() const noexcept { return cached_; }

  /// Committed tokens that are not in the cache: at least 1.
  [[nodiscard]] std::int32_t pending() const noexcept;

  /// Tokens that may still be generated; 0 once finished.
  [[nodiscard]] std::int32_t budget() const noexcept;

  [[nodiscard]] bool is_stop(Token token) const noexcept;
  [[nodiscard]] std::optional<FinishReason> finish() const noexcept { return finish_; }
  [[nodiscard]] const Proposal& proposal() const noexcept { return proposal_; }
  [[nodiscard]] const Stats& stats() const noexcept { return stats_; }

  /// What pick() sees of the row that follows `path`, drafts behind the last token. Valid until the next
  /// call.
  [[nodiscard]] PickContext context_after(std::span<const Token> path);

  /// How many of `picks`, the tokens chosen along an accepted path, the sequence takes: up to a stop token.
  /// Drafts are never more than the budget less one, so the picks stay within it.
  [[nodiscard]] std::size_t usable(std::span<const Token> picks) const noexcept;

  /// `rows` pending tokens are now in the cache.
  void cache(std::int32_t rows) noexcept { cached_ += rows; }

  /// Adds `tokens` (cut to usable()); all but the last are in the cache now. The step verified drafts to a
  /// depth of `drafted`, and `accepted` of them stood.
  void commit(std::span<const Token> tokens, std::int32_t drafted, std::int32_t accepted,
              Clock::time_point now);

  /// Forgets the proposal and asks the source what drafts of the heads would be worth in the next step (see
  /// DraftSource): never deeper than the step can use. Throws ArgumentError if they are nonsense.
  [[nodiscard]] Prospects prospects();

  /// Asks the source for a proposal, after prospects(). Throws ArgumentError if it proposes nonsense.
  void draft(const HeadDrafts& drafted);

  /// Its steps have spent `time` on drafting.
  void spend_drafting(Clock::duration time) noexcept;

 private:
  [[nodiscard]] std::int32_t most_drafts() const noexcept;

  Request request_;
  Slot slot_;
  std::int32_t context_;
  std::int32_t vocab_size_;
  std::vector<Token> tokens_;
  std::int32_t cached_ = 0;
  std::optional<FinishReason> finish_;
  std::unique_ptr<TokenCounts> counts_;   // null without penalties
  std::vector<std::uint32_t> unstopped_;  // mask without the stop tokens, while min_tokens forbids them
  std::shared_ptr<DraftSource> source_;
  Proposal proposal_;
  Stats stats_;
  Clock::time_point submitted_;
  Clock::time_point first_commit_;
};

}  // namespace mtp_rt
