#include "decode/heads_source.h"

#include <algorithm>
#include <array>
#include <utility>

namespace mtp_rt {
namespace {

constexpr double kUnknown = 0.5;        // chance of a draft of which nothing is known
constexpr double kUnknownSecond = 0.2;  // of a second candidate where the first is wrong; later ones less
constexpr double kPriorWeight = 3.0;
constexpr double kMostWeight = 20.0;
constexpr double kFade = 0.98;    // of the weight of what was seen, with each proposal that sees nothing
constexpr double kReturn = 0.01;  // how fast the outlook of what is not drafted comes back to its prior
constexpr std::int32_t kFirstPause = 8;
constexpr std::int32_t kLongestPause = 256;
constexpr std::int32_t kProbe = 2;  // drafts

// By how sure a head is: the upper ends of all classes but the last.
constexpr std::array kSure{0.05F, 0.15F, 0.3F, 0.5F, 0.7F, 0.85F, 0.95F};

std::size_t class_of(float own_chance) {
  return static_cast<std::size_t>(std::ranges::upper_bound(kSure, own_chance) - kSure.begin());
}

/// How sure a head is of the candidate of this rank, among those of one depth: of the first as it says, of
/// any other given that the first is wrong.
float sureness(std::span<const float> candidates, std::size_t rank) {
  if (rank == 0) return candidates[0];
  const float left = 1.0F - candidates[0];
  return left > candidates[rank] ? candidates[rank] / left : 1.0F;
}

}  // namespace

HeadsSource::HeadsSource(std::int32_t heads, std::span<const float> acceptance, std::int32_t width)
    : width_(static_cast<std::size_t>(width)),
      estimates_(width_, DraftEstimates(kSure.size() + 1)),
      pause_(kFirstPause) {
  for (std::size_t depth = 0; depth < static_cast<std::size_t>(heads); ++depth) {
    for (std::size_t rank = 0; rank < width_; ++rank) {
      double known = depth < acceptance.size() ? static_cast<double>(acceptance[depth]) : kUnknown;
      if (rank > 0) known = kUnknownSecond / static_cast<double>(rank);
      outlooks_.push_back({known, known, kPriorWeight});
    }
  }
}

Prospects HeadsSource::prospects(std::span<const Token> tokens, std::int32_t max_drafts) {
  learn(tokens);
  const std::size_t depths = std::min(outlooks_.size() / width_, static_cast<std::size_t>(max_drafts));
  probing_ = idle_ >= pause_;
  Prospects prospects;
  if (probing_) {  // worth its time only where right drafts would be
    prospects.chances.assign(std::min(depths, static_cast<std::size_t>(kProbe)), 1.0F);
    return prospects;
  }
  prospects.width = static_cast<std::int32_t>(width_);
  double chance = 1.0;  // that all first candidates so far are right
  for (std::size_t depth = 0; depth < depths; ++depth) {
    const double first = outlook(depth, 0).chance;
    prospects.chances.push_back(static_cast<float>(chance * first));
    for (std::size_t rank = 1; rank < width_; ++rank) {
      prospects.chances.push_back(static_cast<float>(chance * (1.0 - first) * outlook(depth, rank).chance));
    }
    chance *= first;
  }
  return prospects;
}

/// What the text has decided: the first candidates up to a wrong one, and there which of the others was
/// right.
void HeadsSource::learn(std::span<const Token> tokens) {
  watched_.compare(tokens, [&](std::size_t depth, bool right, Token chosen) {
    const std::size_t at = depth * watched_width_;
    const std::span<const float> candidates = std::span(watched_chances_).subspan(at, watched_width_);
    const auto place = static_cast<std::int32_t>(depth);
    estimates_[0].learn(class_of(sureness(candidates, 0)), place, right);
    for (std::size_t rank = 1; rank < watched_width_ && !right; ++rank) {
      estimates_[rank].learn(class_of(sureness(candidates, rank)), place,
                             watched_tokens_[at + rank] == chosen);
    }
  });
}

Proposal HeadsSource::propose(std::span<const Token> tokens, std::int32_t max_drafts,
                              const HeadDrafts& drafted) {
  Proposal proposal;
  proposal.source = "heads";
  if (drafted.tokens.empty()) {
    pass_idle();
    return proposal;
  }
  idle_ = 0;
  pause_ = probing_ ? std::min(2 * pause_, kLongestPause) : kFirstPause;
  std::vector<Node> nodes = weigh(drafted);
  // A leaf is never likelier than the node before it, so in this order parents come before their children.
  std::ranges::stable_sort(nodes, [](const Node& a, const Node& b) { return a.chance > b.chance; });
  nodes.resize(std::min(nodes.size(), static_cast<std::size_t>(max_drafts)));
  std::vector<std::int32_t> chain{0};  // rows
  for (const Node& node : nodes) {
    proposal.tree.tokens.push_back(node.token);
    proposal.tree.parents.push_back(chain[node.depth]);
    proposal.chances.push_back(static_cast<float>(node.chance));
    if (node.first) chain.push_back(static_cast<std::int32_t>(proposal.tree.tokens.size()));
  }
  watch(tokens, drafted);
  return proposal;
}

/// All candidates and their chances, parents before children; what the heads say here changes the outlook.
std::vector<HeadsSource::Node> HeadsSource::weigh(const HeadDrafts& drafted) {
  const auto width = static_cast<std::size_t>(drafted.width);
  const std::size_t depths = drafted.tokens.size() / width;
  std::vector<Node> nodes;
  double chance = 1.0;  // that all first candidates so far are right
  for (std::size_t depth = 0; depth < outlooks_.size() / width_; ++depth) {
    double first = 1.0;
    for (std::size_t rank = 0; rank < width_; ++rank) {
      Outlook& known = outlook(depth, rank);
      if (depth >= depths || rank >= width) {
        known.drift();
        continue;
      }
      const std::span<const float> candidates = drafted.chances.subspan(depth * width, width);
      const float own = sureness(candidates, rank);
      const double prior = 0.5 * (static_cast<double>(own) + known.prior);
      double right = estimates_[rank].chance(class_of(own), static_cast<std::int32_t>(depth), prior);
      if (rank > 0 && candidates[rank] == 0.0F) right = 0.0;  // left out by the filters
      known.see(right, chance);
      nodes.push_back({drafted.tokens[depth * width + rank], depth, rank == 0,
                       chance * (rank == 0 ? right : (1.0 - first) * right)});
      if (rank == 0) first = right;
    }
    chance *= first;
  }
  return nodes;
}

HeadsSource::Outlook& HeadsSource::outlook(std::size_t depth, std::size_t rank) {
  return outlooks_[depth * width_ + rank];
}

/// What heads say behind a wrong draft tells little.
void HeadsSource::Outlook::see(double right, double seen) {
  chance += (right - chance) * seen / (weight + seen);
  weight = std::min(weight + seen, kMostWeight);
}

void HeadsSource::Outlook::drift() {
  chance += (prior - chance) * kReturn;
  weight *= kFade;
}

/// What was seen grows old: the drafts of the next probe weigh more.
void HeadsSource::pass_idle() {
  ++idle_;
  for (Outlook& outlook : outlooks_) outlook.weight *= kFade;
}

void HeadsSource::watch(std::span<const Token> tokens, const HeadDrafts& drafted) {
  if (!watched_.empty()) return;
  watched_width_ = static_cast<std::size_t>(drafted.width);
  watched_tokens_.assign(drafted.tokens.begin(), drafted.tokens.end());
  watched_chances_.assign(drafted.chances.begin(), drafted.chances.end());
  std::vector<Token> chain;
  for (std::size_t at = 0; at < watched_tokens_.size(); at += watched_width_) {
    chain.push_back(watched_tokens_[at]);
  }
  watched_.watch(std::move(chain), tokens.size());
}

}  // namespace mtp_rt
