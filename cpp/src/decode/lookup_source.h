// Drafts copied from the text itself: what followed the last occurrence of the current ending.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "decode/draft_estimates.h"
#include "decode/watched_drafts.h"
#include "mtp_rt/drafting.h"

namespace mtp_rt {

/// Finds the longest ending of the sequence that occurred before (the most recent one among equals) and
/// proposes what followed it, as a chain. A step looks at most at kMaxCandidates occurrences of kMaxMatch
/// tokens.
class LookupSource final : public DraftSource {
 public:
  static constexpr std::int32_t kMaxCandidates = 64;
  static constexpr std::int32_t kMaxMatch = 32;

  LookupSource();

  [[nodiscard]] Proposal propose(std::span<const Token> tokens, std::int32_t max_drafts,
                                 const HeadDrafts& drafted) override;

 private:
  /// An earlier occurrence of the ending: its last index and length.
  struct Match {
    std::int32_t end = -1;
    std::int32_t length = 0;
  };

  void index_up_to(std::span<const Token> tokens, std::size_t end);
  [[nodiscard]] Match longest_match(std::span<const Token> tokens) const;

  std::unordered_map<std::uint64_t, std::int32_t> last_pair_;  // (token, next token) -> index of the latter
  std::unordered_map<Token, std::int32_t> last_single_;
  std::vector<std::int32_t> previous_pair_;  // [indexed tokens] the occurrence before, or -1
  DraftEstimates estimates_;
  WatchedDrafts watched_;
  std::int32_t watched_length_ = 0;  // of the match that led to them
};

}  // namespace mtp_rt
