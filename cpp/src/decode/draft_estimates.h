// How often the drafts of one sequence have been right, by how sure their source was.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace mtp_rt {

/// Running estimates of the probability that a draft is right when those before it are.
class DraftEstimates {
 public:
  /// A match of `length` tokens led to the draft; `depth` drafts stand before it.
  [[nodiscard]] double chance(std::int32_t length, std::int32_t depth) const;

  void learn(std::int32_t length, std::int32_t depth, bool right);

 private:
  static constexpr std::size_t kClasses = 6;  // match lengths 1, 2, 3, 4-5, 6-8, 9 and more
  static constexpr std::size_t kDepths = 3;   // 0, 1, 2 and more

  struct Cell {
    double right = 0.0;
    double seen = 0.0;
  };

  static std::size_t class_of(std::int32_t length);
  static std::size_t column_of(std::int32_t depth);

  std::array<std::array<Cell, kDepths>, kClasses> cells_{};
};

}  // namespace mtp_rt
