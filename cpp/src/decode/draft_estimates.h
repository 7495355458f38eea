// How often the drafts of one sequence have been right, by how sure their source was.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace mtp_rt {

/// Running estimates of the probability that a draft is right when those before it are.
class DraftEstimates {
 public:
  /// `classes`: degrees of how sure a source may be.
  explicit DraftEstimates(std::size_t classes) : cells_(classes * kDepths) {}

  /// Of a draft of class `sureness` with `depth` drafts before it; `prior` where nothing was learnt yet.
  [[nodiscard]] double chance(std::size_t sureness, std::int32_t depth, double prior) const;

  void learn(std::size_t sureness, std::int32_t depth, bool right);

 private:
  static constexpr std::size_t kDepths = 3;  // 0, 1, 2 and more

  struct Cell {
    double right = 0.0;
    double seen = 0.0;
    double prior_weight = 3.0;  // observations that the prior counts as
  };

  static std::size_t cell(std::size_t sureness, std::int32_t depth);

  std::vector<Cell> cells_;  // [classes, kDepths]
};

}  // namespace mtp_rt
