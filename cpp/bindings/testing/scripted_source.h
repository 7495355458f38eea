// Drafts that know the text and are right as often as a test wants.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "mtp_rt/drafting.h"

namespace mtp_rt::testing {

/// Proposes chains or trees around `reference`, the whole text that plain decoding gives.
class ScriptedSource final : public DraftSource {
 public:
  /// `acceptance`: probability that a draft is right where those before it are.
  ScriptedSource(std::vector<Token> reference, double acceptance, bool tree, std::uint64_t seed,
                 std::int32_t vocab_size);

  [[nodiscard]] Proposal propose(std::span<const Token> tokens, std::int32_t max_drafts,
                                 const HeadDrafts& drafted) override;

 private:
  std::uint64_t draw();
  Token wrong(Token right);
  void add(Proposal& proposal, Token token, std::int32_t parent);

  std::vector<Token> reference_;
  double acceptance_;
  bool tree_;
  std::uint64_t state_;
  std::int32_t vocab_size_;
};

}  // namespace mtp_rt::testing
