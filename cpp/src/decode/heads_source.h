// Drafts from the model's extra heads.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "decode/draft_estimates.h"
#include "decode/watched_drafts.h"
#include "mtp_rt/drafting.h"

namespace mtp_rt {

/// Learns when the heads of a model pay off for one sequence, and proposes what they draft, as a chain.
///
/// Before drafting, prospects are running means by depth. A draft's chance is then what has become of drafts
/// at its depth of which the head was as sure. Where the heads draft nothing, a probe of a few drafts is
/// asked for now and then, at growing intervals, so that a change of the text is noticed.
class HeadsSource final : public DraftSource {
 public:
  /// `acceptance[k]`: what was measured before, of draft k + 1 where those before it stood; may be empty.
  HeadsSource(std::int32_t heads, std::span<const float> acceptance);

  [[nodiscard]] std::vector<float> prospects(std::span<const Token> tokens, std::int32_t max_drafts) override;
  [[nodiscard]] Proposal propose(std::span<const Token> tokens, std::int32_t max_drafts,
                                 const HeadDrafts& drafted) override;

 private:
  /// That a draft is right where those before it are, at one depth.
  struct Outlook {
    double prior = 0.0;
    double chance = 0.0;
    double weight = 0.0;  // of the drafts behind the chance
  };

  void pass_idle();
  void watch(std::span<const Token> tokens, const HeadDrafts& drafted);

  std::vector<Outlook> outlooks_;  // [heads]
  DraftEstimates estimates_;
  WatchedDrafts watched_;
  std::vector<float> watched_chances_;  // the heads' own
  std::int32_t idle_ = 0;               // proposals without drafts of the heads since the last with them
  std::int32_t pause_;                  // idle proposals before a probe
  bool probing_ = false;
};

}  // namespace mtp_rt
