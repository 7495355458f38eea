#include "decode/lookup_source.h"

#include <string>

#include "mtp_rt/error.h"

namespace mtp_rt {
namespace {

constexpr std::int32_t kMostDrafts = 15;

std::uint64_t pair_key(Token first, Token second) {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(first)) << 32 |
         static_cast<std::uint32_t>(second);
}

}  // namespace

std::unique_ptr<DraftSource> make_draft_source(const DraftOptions& options, const EngineInfo& info) {
  if (options.max_drafts < 0 || options.max_drafts > kMostDrafts) {
    throw ArgumentError("max_drafts: " + std::to_string(options.max_drafts) + " is outside [0, 15]");
  }
  if (options.source == "none") return nullptr;
  if (options.source == "lookup" || (options.source == "auto" && info.extra_heads == 0)) {
    return std::make_unique<LookupSource>();
  }
  if (options.source == "heads" || options.source == "auto") {
    throw UnsupportedError("drafts: this model has no extra heads; use the source lookup or none");
  }
  throw ArgumentError("drafts: unknown source '" + options.source +
                      "'; known are none, lookup, heads and auto");
}

Proposal LookupSource::propose(std::span<const Token> tokens, std::int32_t max_drafts) {
  compare_watched(tokens);
  index_up_to(tokens, tokens.size() - 1);  // not the ending itself
  const Match match = longest_match(tokens);
  Proposal proposal;
  if (match.length == 0) return proposal;

  double chance = 1.0;
  const auto next = static_cast<std::size_t>(match.end) + 1;
  for (std::int32_t i = 0; i < max_drafts; ++i) {
    // Past the end of the text the copy goes on with its own beginning, as in a loop.
    const std::size_t from = next + static_cast<std::size_t>(i);
    const std::vector<Token>& drafts = proposal.tree.tokens;
    const Token token = from < tokens.size() ? tokens[from] : drafts[from - tokens.size()];
    chance *= estimates_.chance(match.length, i);
    proposal.tree.tokens.push_back(token);
    proposal.tree.parents.push_back(i);
    proposal.chances.push_back(static_cast<float>(chance));
  }
  if (watched_.tokens.empty()) watched_ = {proposal.tree.tokens, tokens.size(), 0, match.length};
  return proposal;
}

void LookupSource::index_up_to(std::span<const Token> tokens, std::size_t end) {
  for (std::size_t i = previous_pair_.size(); i < end; ++i) {
    const auto index = static_cast<std::int32_t>(i);
    last_single_[tokens[i]] = index;
    previous_pair_.push_back(-1);
    if (i == 0) continue;
    const auto [found, added] = last_pair_.try_emplace(pair_key(tokens[i - 1], tokens[i]), index);
    if (added) continue;
    previous_pair_[i] = found->second;
    found->second = index;
  }
}

void LookupSource::compare_watched(std::span<const Token> tokens) {
  Watched& watched = watched_;
  while (watched.compared < watched.tokens.size()) {
    const std::size_t at = watched.start + watched.compared;
    if (at >= tokens.size()) return;  // the rest is not known yet
    const bool right = tokens[at] == watched.tokens[watched.compared];
    estimates_.learn(watched.match_length, static_cast<std::int32_t>(watched.compared), right);
    if (!right) break;
    ++watched.compared;
  }
  watched = {};
}

LookupSource::Match LookupSource::longest_match(std::span<const Token> tokens) const {
  const auto last = static_cast<std::int32_t>(tokens.size()) - 1;
  const auto token = [&](std::int32_t i) { return tokens[static_cast<std::size_t>(i)]; };
  Match best;
  if (const auto single = last_single_.find(token(last)); single != last_single_.end()) {
    best = {single->second, 1};
  }
  if (last == 0) return best;
  const auto pair = last_pair_.find(pair_key(token(last - 1), token(last)));
  std::int32_t end = pair == last_pair_.end() ? -1 : pair->second;
  for (std::int32_t tried = 0; end >= 0 && tried < kMaxCandidates; ++tried) {
    std::int32_t length = 2;
    while (length < kMaxMatch && length <= end && token(end - length) == token(last - length)) ++length;
    if (length > best.length) best = {end, length};
    end = previous_pair_[static_cast<std::size_t>(end)];
  }
  return best;
}

}  // namespace mtp_rt
