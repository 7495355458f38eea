#include "decode/token_counts.h"

namespace mtp_rt {

TokenCounts::TokenCounts(std::span<const Token> prompt) {
  for (const Token token : prompt) ++entry(token).in_prompt;
}

void TokenCounts::add(Token token) { ++entry(token).generated; }

void TokenCounts::set_path(std::span<const Token> path) {
  for (const Token token : path_) --entry(token).generated;
  path_.assign(path.begin(), path.end());
  for (const Token token : path_) ++entry(token).generated;
}

TokenCount& TokenCounts::entry(Token token) {
  const auto [found, added] = index_.try_emplace(token, entries_.size());
  if (added) entries_.push_back({.token = token});
  return entries_[found->second];
}

}  // namespace mtp_rt
