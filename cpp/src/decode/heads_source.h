// Drafts from the model's extra heads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "decode/draft_estimates.h"
#include "decode/watched_drafts.h"
#include "mtp_rt/drafting.h"

namespace mtp_rt {

/// Learns when the heads of a model pay off for one sequence, and proposes what they draft: the chain of
/// their first candidates, and the others of each depth as leaves beside it.
///
/// Before drafting, prospects are running means by depth and rank. A candidate's chance is then what has
/// become of candidates at its depth and rank of which the head was as sure. Where the heads draft nothing, a
/// probe of a few drafts is asked for now and then, at growing intervals, so that a change of the text is
/// noticed.
class HeadsSource final : public DraftSource {
 public:
  /// `acceptance[k]`: what was measured before, of draft k + 1 where those before it stood; may be empty.
  /// `width`: candidates wanted of each depth, 1 .. kMaxDraftWidth; 1: a chain.
  HeadsSource(std::int32_t heads, std::span<const float> acceptance, std::int32_t width);

  [[nodiscard]] Prospects prospects(std::span<const Token> tokens, std::int32_t max_drafts) override;
  [[nodiscard]] Proposal propose(std::span<const Token> tokens, std::int32_t max_drafts,
                                 const HeadDrafts& drafted) override;

 private:
  /// That the candidate of one depth and rank is right where the first ones of the depths before are, and for
  /// the ranks behind the first where that is wrong.
  struct Outlook {
    /// A draft there is `right` with this chance, where those before it stand; they do with chance `seen`.
    void see(double right, double seen);
    void drift();  // nothing was drafted there

    double prior = 0.0;
    double chance = 0.0;
    double weight = 0.0;  // of the drafts behind the chance
  };

  struct Node {
    Token token = 0;
    std::size_t depth = 0;
    bool first = true;    // of its depth: a link of the chain, not a leaf
    double chance = 0.0;  // that it is accepted
  };

  void learn(std::span<const Token> tokens);
  [[nodiscard]] Outlook& outlook(std::size_t depth, std::size_t rank);
  void pass_idle();
  [[nodiscard]] std::vector<Node> weigh(const HeadDrafts& drafted);
  void watch(std::span<const Token> tokens, const HeadDrafts& drafted);

  std::size_t width_;
  std::vector<Outlook> outlooks_;          // [heads, width]
  std::vector<DraftEstimates> estimates_;  // [width]
  WatchedDrafts watched_;                  // first candidates
  std::vector<Token> watched_tokens_;      // [depths, watched_width_] all candidates
  std::vector<float> watched_chances_;     // same; the heads' own
  std::size_t watched_width_ = 1;
  std::int32_t idle_ = 0;  // proposals without drafts of the heads since the last with them
  std::int32_t pause_;     // idle proposals before a probe
  bool probing_ = false;
};

}  // namespace mtp_rt
