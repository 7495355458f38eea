#include <algorithm>
#include <cstddef>
#include <string>

#include "decode/heads_source.h"
#include "decode/joined_drafts.h"
#include "decode/lookup_source.h"
#include "mtp_rt/drafting.h"
#include "mtp_rt/error.h"

namespace mtp_rt {
namespace {

constexpr std::int32_t kMostDrafts = 15;
constexpr std::int32_t kTreeWidth = 3;  // more candidates are hardly ever right

/// Lookup and heads, as one tree. What the heads promise is what they add to the copy.
class LookupAndHeads final : public DraftSource {
 public:
  LookupAndHeads(const EngineInfo& info, std::int32_t width)
      : heads_(info.extra_heads, info.acceptance, width) {}

  [[nodiscard]] Prospects prospects(std::span<const Token> tokens, std::int32_t max_drafts) override {
    copied_ = lookup_.propose(tokens, max_drafts, {});
    Prospects prospects = heads_.prospects(tokens, max_drafts);
    const auto width = static_cast<std::size_t>(prospects.width);
    float least = 1.0F;  // of the first candidates: none may seem likelier than the one before
    for (std::size_t at = 0; at < prospects.chances.size(); ++at) {
      const std::size_t depth = at / width;
      const float copied = depth < copied_.chances.size() ? copied_.chances[depth] : 0.0F;
      float& chance = prospects.chances[at];
      chance = std::min(least, chance * (1.0F - copied));
      if (at % width + 1 == width) least = prospects.chances[depth * width];
    }
    prospects.others = copied_.chances;
    return prospects;
  }

  [[nodiscard]] Proposal propose(std::span<const Token> tokens, std::int32_t max_drafts,
                                 const HeadDrafts& drafted) override {
    return join(heads_.propose(tokens, max_drafts, drafted), copied_, max_drafts);
  }

 private:
  LookupSource lookup_;
  HeadsSource heads_;
  Proposal copied_;
};

}  // namespace

Prospects DraftSource::prospects(std::span<const Token> /*tokens*/, std::int32_t /*max_drafts*/) {
  return {};
}

std::unique_ptr<DraftSource> make_draft_source(const DraftOptions& options, const EngineInfo& info) {
  if (options.max_drafts < 0 || options.max_drafts > kMostDrafts) {
    throw ArgumentError("max_drafts: " + std::to_string(options.max_drafts) + " is outside [0, 15]");
  }
  if (options.max_width < 0 || options.max_width > kMaxDraftWidth) {
    throw ArgumentError("max_width: " + std::to_string(options.max_width) + " is outside [0, " +
                        std::to_string(kMaxDraftWidth) + "]");
  }
  const std::int32_t width = options.max_width > 0 ? options.max_width : options.adaptive ? kTreeWidth : 1;
  const std::string& source = options.source;
  if (source == "none") return nullptr;
  if (source == "lookup" || (source == "auto" && info.extra_heads == 0)) {
    return std::make_unique<LookupSource>();
  }
  if (source == "auto") return std::make_unique<LookupAndHeads>(info, width);
  if (source != "heads") {
    throw ArgumentError("drafts: unknown source '" + source + "'; known are none, lookup, heads and auto");
  }
  if (info.extra_heads == 0) {
    throw UnsupportedError(
        "drafts: this model has no extra heads; use the source lookup or none, or give it heads with mtp-rt "
        "distill");
  }
  return std::make_unique<HeadsSource>(info.extra_heads, info.acceptance, width);
}

}  // namespace mtp_rt
