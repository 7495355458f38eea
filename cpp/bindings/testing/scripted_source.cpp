#include "testing/scripted_source.h"

#include <utility>

namespace mtp_rt::testing {

ScriptedSource::ScriptedSource(std::vector<Token> reference, double acceptance, bool tree, std::uint64_t seed,
                               std::int32_t vocab_size)
    : reference_(std::move(reference)),
      acceptance_(acceptance),
      tree_(tree),
      state_(seed),
      vocab_size_(vocab_size) {}

/// In a tree, every row on the right path gets a wrong child before its right one, and every wrong child a
/// child of its own that would be right on the path: agreeing tokens below a wrong parent must not stand.
Proposal ScriptedSource::propose(std::span<const Token> tokens, std::int32_t max_drafts,
                                 const HeadDrafts& /*drafted*/) {
  Proposal proposal;
  proposal.source = "script";
  std::int32_t row = 0;
  const auto room = [&] { return static_cast<std::int32_t>(proposal.tree.tokens.size()) < max_drafts; };
  for (std::size_t at = tokens.size(); at < reference_.size() && room(); ++at) {
    const Token right = reference_[at];
    const bool hit = static_cast<double>(draw() >> 11) * 0x1p-53 < acceptance_;
    if (tree_) {
      add(proposal, wrong(right), row);
      const auto decoy = static_cast<std::int32_t>(proposal.tree.tokens.size());
      if (room() && at + 1 < reference_.size()) add(proposal, reference_[at + 1], decoy);
      if (!hit || !room()) return proposal;
    }
    add(proposal, hit ? right : wrong(right), row);
    row = static_cast<std::int32_t>(proposal.tree.tokens.size());
  }
  return proposal;
}

std::uint64_t ScriptedSource::draw() {
  state_ = state_ * 6364136223846793005U + 1442695040888963407U;
  return state_ ^ (state_ >> 29);
}

Token ScriptedSource::wrong(Token right) {
  const auto step = 1 + (draw() >> 33) % static_cast<std::uint64_t>(vocab_size_ - 1);
  return static_cast<Token>((static_cast<std::uint64_t>(right) + step) %
                            static_cast<std::uint64_t>(vocab_size_));
}

void ScriptedSource::add(Proposal& proposal, Token token, std::int32_t parent) {
  proposal.tree.tokens.push_back(token);
  proposal.tree.parents.push_back(parent);
  const float before = proposal.chances.empty() ? 1.0F : proposal.chances.back();
  proposal.chances.push_back(before * static_cast<float>(acceptance_));
}

}  // namespace mtp_rt::testing
