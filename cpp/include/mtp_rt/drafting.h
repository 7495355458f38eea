// Where drafts come from.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mtp_rt/acceptance.h"
#include "mtp_rt/engine.h"
#include "mtp_rt/token.h"

namespace mtp_rt {

/// How a request wants its drafts. No choice here changes a token.
struct DraftOptions {
  std::string source =
      "auto";  // "none", "lookup", "heads", or "auto": lookup, joined with heads where the model has them
  std::int32_t max_drafts = 7;  // 0 .. 15
  bool adaptive = true;         // choose the number by measured cost and acceptance
  std::int32_t max_width = 0;   // tokens that a head may propose for one place, 1 .. kMaxDraftWidth; 0: 3 if
                                // adaptive, else 1, so that the heads draft a chain
};

/// Tokens that may follow a sequence, the likeliest first: every leading part is a tree of its own.
struct Proposal {
  DraftTree tree;
  std::vector<float> chances;  // [n] estimated probability that the node is accepted
  std::string_view source;     // who proposes: a literal
};

/// What the model's extra heads would be worth behind a sequence.
///
/// Their drafts are a chain of the first candidates of each depth, and the other candidates as leaves beside
/// it.
struct Prospects {
  std::int32_t width = 1;      // candidates per depth, 1 .. kMaxDraftWidth
  std::vector<float> chances;  // [depths, width] estimated probability that a candidate is accepted where
                               // nothing else that is drafted would be
  std::vector<float> others;   // [n] chances of nodes that are there without the heads
};

/// What the model's extra heads drafted behind a sequence: at each depth the candidates, best first, to
/// follow the first ones of the depths before.
struct HeadDrafts {
  std::int32_t width = 1;          // candidates per depth
  std::span<const Token> tokens;   // [depths, width]
  std::span<const float> chances;  // same; the heads' own, given that the first ones before stand
};

/// Proposes drafts for one sequence.
///
/// After each commit it is asked once for its prospects, then for its proposal. Between the two the heads
/// draft for all sequences that want them, in one call.
class DraftSource {
 public:
  virtual ~DraftSource() = default;
  DraftSource() = default;
  DraftSource(const DraftSource&) = delete;
  DraftSource& operator=(const DraftSource&) = delete;

  /// What the heads would be worth behind `tokens`, the whole sequence so far, at most `max_drafts` deep. No
  /// chances: it does without them.
  [[nodiscard]] virtual Prospects prospects(std::span<const Token> tokens, std::int32_t max_drafts);

  /// At most `max_drafts` nodes to follow `tokens`. What was there in the last call is the start of what is
  /// there now. `drafted` is what the heads drafted: never deeper or wider than the prospects, or nothing.
  [[nodiscard]] virtual Proposal propose(std::span<const Token> tokens, std::int32_t max_drafts,
                                         const HeadDrafts& drafted) = 0;
};

/// The source that `options` name; null for "none".
/// Throws ArgumentError on an unknown name or length, UnsupportedError where the engine has no extra heads.
[[nodiscard]] std::unique_ptr<DraftSource> make_draft_source(const DraftOptions& options,
                                                             const EngineInfo& info);

}  // namespace mtp_rt
