// exp, log, sin and cos out of single multiplications, additions and divisions: the same bits on every
// machine.
//
// Compile with -ffp-contract=off (nvcc: -fmad=false). The loops that call the float exp() vectorise.
#pragma once

#include <bit>
#include <cstdint>

#include "base/host_device.h"

namespace mtp_rt::math {

inline constexpr double kLn2High = 0x1.62e42feep-1;  // 32 bits: products with small integers are exact
inline constexpr double kLn2Low = 0x1.a39ef35793c76p-33;
inline constexpr double kLog2E = 0x1.71547652b82fep+0;
inline constexpr double kRoundDouble = 0x1.8p52;  // x + this - this rounds x to an integer

/// e^x for x <= 88 within 3 units in the last place; below -86 it is 0, so no result is subnormal.
MTP_RT_HOST_DEVICE inline float exp(float x) {
  constexpr float kRound = 0x1.8p23F;
  const float shifted = x * 0x1.715476p+0F + kRound;
  const float n = shifted - kRound;
  const float r = (x - n * 0x1.62e4p-1F) - n * 0x1.7f7d1cp-20F;
  float p = 1.0F / 5040.0F;
  p = p * r + 1.0F / 720.0F;
  p = p * r + 1.0F / 120.0F;
  p = p * r + 1.0F / 24.0F;
  p = p * r + 1.0F / 6.0F;
  p = p * r + 0.5F;
  p = p * r + 1.0F;
  p = p * r + 1.0F;
  const auto bits = std::bit_cast<std::uint32_t>(p) + (std::bit_cast<std::uint32_t>(shifted) << 23);
  // A mask instead of ?:, which the compiler would make a branch that keeps loops from vectorising.
  return std::bit_cast<float>(bits & (0U - static_cast<std::uint32_t>(x >= -86.0F)));
}

/// e^x for |x| <= 700.
MTP_RT_HOST_DEVICE inline double exp(double x) {
  const double shifted = x * kLog2E + kRoundDouble;
  const double n = shifted - kRoundDouble;
  const double r = (x - n * kLn2High) - n * kLn2Low;
  double p = 1.0;
  for (int i = 14; i > 0; --i) p = p * r / i + 1.0;
  return std::bit_cast<double>(std::bit_cast<std::uint64_t>(p) +
                               (std::bit_cast<std::uint64_t>(shifted) << 52));
}

/// Natural logarithm of a positive normal number.
MTP_RT_HOST_DEVICE inline double log(double x) {
  constexpr std::uint64_t kHalfRoot = 0x3fe6a09e667f3bcdU;  // sqrt(1/2): the mantissa ends up in [it, 2 it)
  const std::uint64_t offset = std::bit_cast<std::uint64_t>(x) - kHalfRoot;
  const auto exponent = static_cast<std::int64_t>(offset) >> 52;
  const double m = std::bit_cast<double>((offset & 0x000fffffffffffffU) + kHalfRoot);
  const double s = (m - 1.0) / (m + 1.0);  // log m = 2 artanh s
  const double square = s * s;
  double series = 1.0 / 21.0;
  for (int odd = 19; odd > 0; odd -= 2) series = series * square + 1.0 / odd;
  const auto n = static_cast<double>(exponent);
  return n * kLn2High + (n * kLn2Low + 2.0 * s * series);
}

/// An angle as quarter turns and a rest in [-pi/4, pi/4].
struct ReducedAngle {
  double rest;
  std::int64_t quarter;
};

/// For |x| <= 2^20: pi/2 is subtracted in three parts whose products with the quarter are exact.
MTP_RT_HOST_DEVICE inline ReducedAngle reduce_angle(double x) {
  const double n = (x * 0x1.45f306dc9c883p-1 + kRoundDouble) - kRoundDouble;
  const double rest = ((x - n * 0x1.921fb544p+0) - n * 0x1.0b4611a6p-34) - n * 0x1.3198a2e037073p-69;
  return {rest, static_cast<std::int64_t>(n)};
}

/// The Taylor series of sin (odd = true) or cos around 0, for |r| <= pi/4.
MTP_RT_HOST_DEVICE inline double circular_series(double r, bool odd) {
  const double square = r * r;
  double p = 1.0;
  for (int i = 18; i > 0; i -= 2) p = 1.0 - p * square / (odd ? i * (i + 1) : i * (i - 1));
  return odd ? p * r : p;
}

MTP_RT_HOST_DEVICE inline double sin(double x) {
  const ReducedAngle angle = reduce_angle(x);
  const double value = circular_series(angle.rest, (angle.quarter & 1) == 0);
  return (angle.quarter & 2) != 0 ? -value : value;
}

MTP_RT_HOST_DEVICE inline double cos(double x) {
  const ReducedAngle angle = reduce_angle(x);
  const double value = circular_series(angle.rest, (angle.quarter & 1) != 0);
  return ((angle.quarter + 1) & 2) != 0 ? -value : value;
}

}  // namespace mtp_rt::math
