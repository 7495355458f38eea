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
      "auto";  // "none", "lookup", "heads", or "auto": lookup, and heads where the model has them
  std::int32_t max_drafts = 7;  // 0 .. 15
  bool adaptive = true;         // choose the number by measured cost and acceptance
};

/// Tokens that may follow a sequence, the likeliest first: every leading part is a tree of its own.
struct Proposal {
  DraftTree tree;
  std::vector<float> chances;  // [n] estimated probability that the node is accepted
  std::string_view source;     // who proposes: a literal
};

/// A chain of tokens that the model's extra heads drafted behind a sequence.
struct HeadDrafts {
  std::span<const Token> tokens;   // [n]
  std::span<const float> chances;  // [n] the heads' own, each given that those before it stand
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

  /// What the heads would be worth behind `tokens`, the whole sequence so far: [k] estimated probability that
  /// their first k + 1 drafts are accepted, at most `max_drafts` of them. Empty: it does without them.
  [[nodiscard]] virtual std::vector<float> prospects(std::span<const Token> tokens, std::int32_t max_drafts);

  /// At most `max_drafts` nodes to follow `tokens`. What was there in the last call is the start of what is
  /// there now. `drafted` is what the heads drafted: at most as many as there were prospects, or none.
  [[nodiscard]] virtual Proposal propose(std::span<const Token> tokens, std::int32_t max_drafts,
                                         const HeadDrafts& drafted) = 0;
};

/// The source that `options` name; null for "none".
/// Throws ArgumentError on an unknown name or length, UnsupportedError where the engine has no extra heads.
[[nodiscard]] std::unique_ptr<DraftSource> make_draft_source(const DraftOptions& options,
                                                             const EngineInfo& info);

}  // namespace mtp_rt
