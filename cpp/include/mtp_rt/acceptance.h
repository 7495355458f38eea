// Which drafts survive a verify pass.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "mtp_rt/token.h"

namespace mtp_rt {

/// Draft tokens of one sequence, as a tree over the rows of one verify call.
///
/// Row 0 holds the last committed token; node i sits in row i + 1. A chain is the tree whose
/// parents are 0, 1, 2, ... Siblings hold different tokens.
struct DraftTree {
  std::vector<Token> tokens;          // [n]
  std::vector<std::int32_t> parents;  // [n] row of each node's parent; parents[i] <= i
};

/// Throws ArgumentError unless every node names an earlier row as its parent.
void check(const DraftTree& drafts);

/// The depth of the deepest of the first `count` nodes; 0 without any.
[[nodiscard]] std::int32_t depth_of(const DraftTree& drafts, std::int32_t count);

struct Accepted {
  std::vector<std::int32_t> rows;  // rows to keep in the KV cache, root first; never empty
  Token next = 0;                  // the free token: emitted now, enters the cache next step
};

/// Walks from the root along nodes whose token equals their parent row's pick.
///
/// `picks[r]` is the token the model itself chooses after row r (sampling.h), so the accepted
/// path is what plain decoding would have emitted.
/// Throws ArgumentError if picks.size() != drafts.tokens.size() + 1 or the tree is malformed.
[[nodiscard]] Accepted accept(const DraftTree& drafts, std::span<const Token> picks);

}  // namespace mtp_rt
