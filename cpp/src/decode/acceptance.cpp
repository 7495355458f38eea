#include "mtp_rt/acceptance.h"

#include <algorithm>
#include <string>

#include "decode/draft_walk.h"
#include "mtp_rt/error.h"

namespace mtp_rt {

void check(const DraftTree& drafts) {
  const std::size_t count = drafts.tokens.size();
  if (drafts.parents.size() != count) {
    throw ArgumentError("parents: " + std::to_string(drafts.parents.size()) + " entries for " +
                        std::to_string(count) + " draft tokens");
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (drafts.parents[i] < 0 || static_cast<std::size_t>(drafts.parents[i]) > i) {
      throw ArgumentError("parents[" + std::to_string(i) + "]: row " + std::to_string(drafts.parents[i]) +
                          " does not come before the node");
    }
  }
}

std::int32_t depth_of(const DraftTree& drafts, std::int32_t count) {
  std::vector<std::int32_t> depth(static_cast<std::size_t>(count) + 1, 0);  // by row
  for (std::size_t i = 0; i + 1 < depth.size(); ++i) {
    depth[i + 1] = depth[static_cast<std::size_t>(drafts.parents[i])] + 1;
  }
  return *std::ranges::max_element(depth);
}

Accepted accept(const DraftTree& drafts, std::span<const Token> picks) {
  check(drafts);
  if (picks.size() != drafts.tokens.size() + 1) {
    throw ArgumentError("picks: " + std::to_string(picks.size()) + " entries for " +
                        std::to_string(drafts.tokens.size() + 1) + " rows");
  }
  Accepted accepted;
  accepted.next = walk_drafts(
      drafts.tokens.data(), drafts.parents.data(), static_cast<std::int32_t>(drafts.tokens.size()),
      [&](std::int32_t row) { return picks[static_cast<std::size_t>(row)]; },
      [&](std::int32_t row) { accepted.rows.push_back(row); });
  return accepted;
}

}  // namespace mtp_rt
