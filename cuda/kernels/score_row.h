// A row's entries as log-probabilities relative to the best one's, computed where they are needed.
#pragma once

#include <cstdint>

#include "base/host_device.h"
#include "base/math.h"
#include "mtp_rt/token.h"
#include "sampling/token_score.h"

namespace mtp_rt::cuda {

inline constexpr float kLargest = 0x1.fffffep+127F;
inline constexpr float kInfinity = __builtin_huge_valf();

/// The values are those of ScoreRow (sampling/score_row.h).
struct ScoreRow {
  const float* logits = nullptr;  // [size]
  std::int32_t size = 0;
  float best = 0.0F;
  float scale = 1.0F;

  MTP_RT_DEVICE ScoreRow(const float* row, std::int32_t count, float highest, float temperature)
      : logits(row), size(count), best(highest), scale(score_scale(temperature)) {}

  [[nodiscard]] MTP_RT_DEVICE float z(std::int32_t entry) const { return (logits[entry] - best) * scale; }
};

inline constexpr std::int32_t kBins = 1024;
inline constexpr std::int32_t kLevels = 7;

/// One of the digits, most significant first, of an entry's place in the order of the cuts (sampling/cut.h).
/// The first spreads the usual z over many bins, 32 for each unit. The digits of z and of the index follow.
MTP_RT_DEVICE inline std::int32_t order_digit(std::int32_t level, float z, std::int32_t index) {
  const float distance = 0.0F - z;  // both zeros give +0
  const auto bits = std::bit_cast<std::uint32_t>(distance);
  switch (level) {
    case 0:
      return distance < 31.9F ? static_cast<std::int32_t>(distance * 32.0F) : kBins - 1;
    case 1:
      return static_cast<std::int32_t>(bits >> 22);
    case 2:
      return static_cast<std::int32_t>(bits >> 12) & (kBins - 1);
    case 3:
      return static_cast<std::int32_t>(bits >> 2) & (kBins - 1);
    case 4:
      return static_cast<std::int32_t>(bits & 3U);
    case 5:
      return index >> 10;
    default:
      return index & (kBins - 1);
  }
}

}  // namespace mtp_rt::cuda
