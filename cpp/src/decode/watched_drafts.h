// Drafts that wait for the text to tell whether they were right.
#pragma once

#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "mtp_rt/token.h"

namespace mtp_rt {

/// A chain of drafts whose tokens have not all been compared with what was committed. It need not have been
/// verified: the text tells in the end.
class WatchedDrafts {
 public:
  /// The last chain is decided.
  [[nodiscard]] bool empty() const noexcept { return tokens_.empty(); }

  /// Watches drafts that would stand at index `start` of the text and behind.
  void watch(std::vector<Token> drafts, std::size_t start) {
    tokens_ = std::move(drafts);
    start_ = start;
    compared_ = 0;
  }

  /// Calls `learn(depth, right, token)` for each draft that `text` decides, with the token that stands there:
  /// up to the first wrong one.
  template <typename Learn>
  void compare(std::span<const Token> text, Learn learn) {
    while (compared_ < tokens_.size()) {
      const std::size_t at = start_ + compared_;
      if (at >= text.size()) return;  // the rest is not known yet
      const bool right = text[at] == tokens_[compared_];
      learn(compared_, right, text[at]);
      if (!right) break;
      ++compared_;
    }
    tokens_.clear();
  }

 private:
  std::vector<Token> tokens_;
  std::size_t start_ = 0;
  std::size_t compared_ = 0;  // tokens known to be right
};

}  // namespace mtp_rt
