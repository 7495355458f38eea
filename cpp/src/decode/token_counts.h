// How often each token stands in a sequence, kept up to date token by token.
#pragma once

#include <cstddef>
#include <span>
#include <unordered_map>
#include <vector>

#include "mtp_rt/sampling.h"

namespace mtp_rt {

class TokenCounts {
 public:
  explicit TokenCounts(std::span<const Token> prompt);

  /// Adds a generated token.
  void add(Token token);

  /// Counts `path` for the moment, in place of the path given before.
  void set_path(std::span<const Token> path);

  [[nodiscard]] std::span<const TokenCount> entries() const noexcept { return entries_; }

 private:
  TokenCount& entry(Token token);

  std::vector<TokenCount> entries_;
  std::unordered_map<Token, std::size_t> index_;
  std::vector<Token> path_;
};

}  // namespace mtp_rt
