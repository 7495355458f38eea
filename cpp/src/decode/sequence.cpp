#include "mtp_rt/sequence.h"

#include <algorithm>
#include <string>
#include <utility>

#include "decode/token_counts.h"
#include "mtp_rt/error.h"
#include "sampling/token_score.h"

namespace mtp_rt {
namespace {

double seconds(Clock::duration duration) { return std::chrono::duration<double>(duration).count(); }

/// Adds 1 to each of the first `count` entries.
void count_up(std::vector<std::int32_t>& counters, std::int32_t count) {
  if (counters.size() < static_cast<std::size_t>(count)) counters.resize(static_cast<std::size_t>(count));
  for (std::int32_t i = 0; i < count; ++i) ++counters[static_cast<std::size_t>(i)];
}

std::vector<std::uint32_t> mask_without(std::span<const Token> forbidden, std::int32_t vocab_size) {
  std::vector<std::uint32_t> mask((static_cast<std::size_t>(vocab_size) + 31) / 32, ~0U);
  for (const Token token : forbidden) {
    const auto id = static_cast<std::size_t>(token);
    mask[id / 32] &= ~(1U << (id % 32));
  }
  return mask;
}

/// Sources come from outside: the heads are asked only after this.
void check_prospects(const Prospects& prospects) {
  const bool has_width = prospects.width >= 1 && prospects.width <= kMaxDraftWidth;
  if (has_width && prospects.chances.size() % static_cast<std::size_t>(prospects.width) == 0) return;
  throw ArgumentError("drafts: prospects of " + std::to_string(prospects.chances.size()) + " candidates, " +
                      std::to_string(prospects.width) + " a depth; 1 .. " + std::to_string(kMaxDraftWidth) +
                      " a depth are possible");
}

/// The same of what goes into rows.
void check_proposal(const Proposal& proposal, std::int32_t vocab_size, std::int32_t most) {
  check(proposal.tree);
  const std::vector<Token>& tokens = proposal.tree.tokens;
  if (tokens.size() > static_cast<std::size_t>(most) || proposal.chances.size() != tokens.size()) {
    throw ArgumentError("drafts: " + std::to_string(tokens.size()) + " nodes and " +
                        std::to_string(proposal.chances.size()) + " chances where at most " +
                        std::to_string(most) + " were asked for");
  }
  for (const Token token : tokens) {
    if (token >= 0 && token < vocab_size) continue;
    throw ArgumentError("drafts: token " + std::to_string(token) + " is outside the vocabulary of " +
                        std::to_string(vocab_size));
  }
}

}  // namespace

Sequence::Sequence(Request request, const EngineInfo& info, Slot slot, Clock::time_point submitted)
    : request_(std::move(request)),
      slot_(slot),
      context_(info.context),
      vocab_size_(info.vocab_size),
      tokens_(request_.prompt),
      source_(request_.draft_source),
      submitted_(submitted) {
  stats_.prompt_tokens = static_cast<std::int32_t>(tokens_.size());
  if (!source_) source_ = make_draft_source(request_.drafts, info);
  if (has_penalties(request_.params)) counts_ = std::make_unique<TokenCounts>(tokens_);
  if (request_.min_tokens > 0 && !request_.stop_token_ids.empty()) {
    unstopped_ = mask_without(request_.stop_token_ids, vocab_size_);
  }
}

Sequence::~Sequence() = default;
Sequence::Sequence(Sequence&&) noexcept = default;
Sequence& Sequence::operator=(Sequence&&) noexcept = default;

std::int32_t Sequence::pending() const noexcept {
  return static_cast<std::int32_t>(tokens_.size()) - cached_;
}

std::int32_t Sequence::budget() const noexcept {
  if (finish_) return 0;
  return std::min(request_.max_tokens - generated(), context_ - static_cast<std::int32_t>(tokens_.size()));
}

bool Sequence::is_stop(Token token) const noexcept {
  return std::ranges::find(request_.stop_token_ids, token) != request_.stop_token_ids.end();
}

PickContext Sequence::context_after(std::span<const Token> path) {
  PickContext context;
  if (counts_) {
    counts_->set_path(path);
    context.counts = counts_->entries();
  }
  if (generated() + static_cast<std::int32_t>(path.size()) < request_.min_tokens)
    context.allowed = unstopped_;
  context.position = static_cast<std::int64_t>(tokens_.size() + path.size());
  return context;
}

std::size_t Sequence::usable(std::span<const Token> picks) const noexcept {
  const auto stop = std::ranges::find_if(picks, [this](Token token) { return is_stop(token); });
  return static_cast<std::size_t>(stop - picks.begin()) + (stop == picks.end() ? 0 : 1);
}

void Sequence::commit(std::span<const Token> tokens, std::int32_t drafted, std::int32_t accepted,
                      Clock::time_point now) {
  const auto count = static_cast<std::int32_t>(tokens.size());
  if (generated() == 0) {
    first_commit_ = now;
    stats_.prefill_seconds = seconds(now - submitted_);
  } else {
    ++stats_.steps;
    stats_.decode_seconds = seconds(now - first_commit_);
  }
  count_up(stats_.drafted_per_position, drafted);
  stats_.accepted_per_position.resize(stats_.drafted_per_position.size());
  accepted = std::min(count, accepted);
  count_up(stats_.accepted_per_position, accepted);
  if (drafted > 0) {
    const std::string source(proposal_.source);
    stats_.drafted_by_source[source] += drafted;
    stats_.accepted_by_source[source] += accepted;
  }

  if (counts_) {
    counts_->set_path({});
    for (const Token token : tokens) counts_->add(token);
  }
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  stats_.generated_tokens += count;
  cached_ = static_cast<std::int32_t>(tokens_.size()) - 1;
  if (is_stop(tokens_.back())) {
    finish_ = FinishReason::stop;
  } else if (budget() == 0) {
    finish_ = FinishReason::length;
  }
}

std::int32_t Sequence::most_drafts() const noexcept {
  return source_ ? std::min(request_.drafts.max_drafts, budget() - 1) : 0;
}

Prospects Sequence::prospects() {
  proposal_ = {};
  const std::int32_t most = most_drafts();
  if (most <= 0) return {};
  Prospects prospects = source_->prospects(tokens_, most);
  check_prospects(prospects);
  const auto most_candidates = static_cast<std::size_t>(most * prospects.width);
  if (prospects.chances.size() > most_candidates) prospects.chances.resize(most_candidates);
  return prospects;
}

void Sequence::draft(const HeadDrafts& drafted) {
  const std::int32_t most = most_drafts();
  if (most <= 0) return;
  Proposal proposal = source_->propose(tokens_, most, drafted);
  check_proposal(proposal, vocab_size_, most);
  proposal_ = std::move(proposal);
}

void Sequence::spend_drafting(Clock::duration time) noexcept { stats_.draft_seconds += seconds(time); }

}  // namespace mtp_rt
