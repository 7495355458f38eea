// Committed rows of a slot that extra heads still need.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "mtp_rt/token.h"

namespace mtp_rt::graphs {

/// The newest committed rows of a slot, oldest first: the state that heads start from, and the token.
class PendingRows {
 public:
  [[nodiscard]] int count() const noexcept { return static_cast<int>(tokens_.size()); }
  [[nodiscard]] int first() const noexcept { return first_; }  // position of the oldest
  [[nodiscard]] Token token(int index) const noexcept { return tokens_[static_cast<std::size_t>(index)]; }

  /// States [rows, hidden] from row `index` on.
  [[nodiscard]] std::span<const float> states(int index, int rows, std::size_t hidden) const noexcept {
    return std::span(states_).subspan(static_cast<std::size_t>(index) * hidden,
                                      static_cast<std::size_t>(rows) * hidden);
  }

  void append(Token token, std::span<const float> state) {
    states_.insert(states_.end(), state.begin(), state.end());
    tokens_.push_back(token);
  }

  /// Forgets the `n` oldest.
  void drop(int n, std::size_t hidden) {
    tokens_.erase(tokens_.begin(), tokens_.begin() + n);
    states_.erase(states_.begin(),
                  states_.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(n) * hidden));
    first_ += n;
  }

  void clear() noexcept { *this = {}; }

 private:
  int first_ = 0;
  std::vector<Token> tokens_;
  std::vector<float> states_;
};

}  // namespace mtp_rt::graphs
