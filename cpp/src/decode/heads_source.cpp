#include "decode/heads_source.h"

#include <algorithm>
#include <array>
#include <cstddef>

namespace mtp_rt {
namespace {

constexpr double kUnknown = 0.5;  // chance of a draft of which nothing is known
constexpr double kPriorWeight = 3.0;
constexpr double kMostWeight = 20.0;
constexpr double kFade = 0.98;  // of the weight of what was seen, with each proposal that sees nothing
constexpr double kReturn =
    0.01;  // how fast a depth that is not drafted comes back to what was measured before
constexpr std::int32_t kFirstPause = 8;
constexpr std::int32_t kLongestPause = 256;
constexpr std::int32_t kProbe = 2;  // drafts

// By how sure a head is: the upper ends of all classes but the last.
constexpr std::array kSure{0.05F, 0.15F, 0.3F, 0.5F, 0.7F, 0.85F, 0.95F};

std::size_t class_of(float own_chance) {
  return static_cast<std::size_t>(std::ranges::upper_bound(kSure, own_chance) - kSure.begin());
}

}  // namespace

HeadsSource::HeadsSource(std::int32_t heads, std::span<const float> acceptance)
    : estimates_(kSure.size() + 1), pause_(kFirstPause) {
  for (std::size_t k = 0; k < static_cast<std::size_t>(heads); ++k) {
    const double known = k < acceptance.size() ? static_cast<double>(acceptance[k]) : kUnknown;
    outlooks_.push_back({known, known, kPriorWeight});
  }
}

std::vector<float> HeadsSource::prospects(std::span<const Token> tokens, std::int32_t max_drafts) {
  watched_.compare(tokens, [&](std::size_t depth, bool right) {
    estimates_.learn(class_of(watched_chances_[depth]), static_cast<std::int32_t>(depth), right);
  });
  const std::size_t depths = std::min(outlooks_.size(), static_cast<std::size_t>(max_drafts));
  probing_ = idle_ >= pause_;
  // A probe is worth its time only where right drafts would be.
  if (probing_) return std::vector<float>(std::min(depths, static_cast<std::size_t>(kProbe)), 1.0F);
  std::vector<float> prospects;
  double chance = 1.0;
  for (std::size_t k = 0; k < depths; ++k) {
    chance *= outlooks_[k].chance;
    prospects.push_back(static_cast<float>(chance));
  }
  return prospects;
}

Proposal HeadsSource::propose(std::span<const Token> tokens, std::int32_t /*max_drafts*/,
                              const HeadDrafts& drafted) {
  Proposal proposal;
  proposal.source = "heads";
  if (drafted.tokens.empty()) {
    pass_idle();
    return proposal;
  }
  idle_ = 0;
  pause_ = probing_ ? std::min(2 * pause_, kLongestPause) : kFirstPause;
  double chance = 1.0;  // that all drafts so far are right
  for (std::size_t k = 0; k < drafted.tokens.size(); ++k) {
    const float own = drafted.chances[k];
    Outlook& outlook = outlooks_[k];
    const double prior = 0.5 * (static_cast<double>(own) + outlook.prior);
    const double right = estimates_.chance(class_of(own), static_cast<std::int32_t>(k), prior);
    // What heads say behind a wrong draft tells little.
    outlook.chance += (right - outlook.chance) * chance / (outlook.weight + chance);
    outlook.weight = std::min(outlook.weight + chance, kMostWeight);
    chance *= right;
    proposal.tree.tokens.push_back(drafted.tokens[k]);
    proposal.tree.parents.push_back(static_cast<std::int32_t>(k));
    proposal.chances.push_back(static_cast<float>(chance));
  }
  for (std::size_t k = drafted.tokens.size(); k < outlooks_.size(); ++k) {
    outlooks_[k].chance += (outlooks_[k].prior - outlooks_[k].chance) * kReturn;
    outlooks_[k].weight *= kFade;
  }
  watch(tokens, drafted);
  return proposal;
}

/// What was seen grows old: the drafts of the next probe weigh more.
void HeadsSource::pass_idle() {
  ++idle_;
  for (Outlook& outlook : outlooks_) outlook.weight *= kFade;
}

void HeadsSource::watch(std::span<const Token> tokens, const HeadDrafts& drafted) {
  if (!watched_.empty()) return;
  watched_.watch({drafted.tokens.begin(), drafted.tokens.end()}, tokens.size());
  watched_chances_.assign(drafted.chances.begin(), drafted.chances.end());
}

}  // namespace mtp_rt
