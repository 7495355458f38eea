// Where drafts come from.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "mtp_rt/acceptance.h"
#include "mtp_rt/engine.h"
#include "mtp_rt/token.h"

namespace mtp_rt {

/// How a request wants its drafts. No choice here changes a token.
struct DraftOptions {
  std::string source =
      "auto";  // "none", "lookup", "heads", or "auto": heads where the model has them, else lookup
  std::int32_t max_drafts = 7;  // 0 .. 15
  bool adaptive = true;         // choose the number by measured cost and acceptance
};

/// Tokens that may follow a sequence, the likeliest first: every leading part is a tree of its own.
struct Proposal {
  DraftTree tree;
  std::vector<float> chances;  // [n] estimated probability that the node is accepted
};

/// Proposes drafts for one sequence.
class DraftSource {
 public:
  virtual ~DraftSource() = default;
  DraftSource() = default;
  DraftSource(const DraftSource&) = delete;
  DraftSource& operator=(const DraftSource&) = delete;

  /// At most `max_drafts` nodes to follow `tokens`, the whole sequence so far. Asked once after each commit;
  /// what was there in the last call is the start of what is there now.
  [[nodiscard]] virtual Proposal propose(std::span<const Token> tokens, std::int32_t max_drafts) = 0;
};

/// The source that `options` name; null for "none".
/// Throws ArgumentError on an unknown name or length, UnsupportedError where the engine has no extra heads.
[[nodiscard]] std::unique_ptr<DraftSource> make_draft_source(const DraftOptions& options,
                                                             const EngineInfo& info);

}  // namespace mtp_rt
