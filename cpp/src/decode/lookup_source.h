// Drafts copied from the text itself: what followed the last occurrence of the current ending.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "decode/draft_estimates.h"
#include "mtp_rt/drafting.h"

namespace mtp_rt {

/// Finds the longest ending of the sequence that occurred before (the most recent one among equals) and
/// proposes what followed it, as a chain. A step looks at most at kMaxCandidates occurrences of kMaxMatch
/// tokens.
class LookupSource final : public DraftSource {
 public:
  static constexpr std::int32_t kMaxCandidates = 64;
  static constexpr std::int32_t kMaxMatch = 32;

  [[nodiscard]] Proposal propose(std::span<const Token> tokens, std::int32_t max_drafts) override;

 private:
  /// An earlier occurrence of the ending: its last index and length.
  struct Match {
    std::int32_t end = -1;
    std::int32_t length = 0;
  };

  /// A proposal whose tokens have not all been compared with what was committed. It need not have been
  /// verified: the text tells whether it was right.
  struct Watched {
    std::vector<Token> tokens;
    std::size_t start = 0;     // index of the first proposed token
    std::size_t compared = 0;  // tokens known to be right
    std::int32_t match_length = 0;
  };

  void index_up_to(std::span<const Token> tokens, std::size_t end);
  void compare_watched(std::span<const Token> tokens);
  [[nodiscard]] Match longest_match(std::span<const Token> tokens) const;

  std::unordered_map<std::uint64_t, std::int32_t> last_pair_;  // (token, next token) -> index of the latter
  std::unordered_map<Token, std::int32_t> last_single_;
  std::vector<std::int32_t> previous_pair_;  // [indexed tokens] the occurrence before, or -1
  DraftEstimates estimates_;
  Watched watched_;
};

}  // namespace mtp_rt
