#include "base/trigonometry.h"

#include <bit>
#include <cstdint>

namespace mtp_rt {
namespace {

constexpr double kLn2 = 0x1.62e42fefa39efp-1;
// pi / 2 in three parts of at most 33 bits: multiples up to 2^20 of the first two are exact.
constexpr double kHalfPi1 = 0x1.921fb544p+0;
constexpr double kHalfPi2 = 0x1.0b4611a6p-34;
constexpr double kHalfPi3 = 0x1.3198a2e037073p-69;

double nearest(double x) { return (x + 0x1.8p52) - 0x1.8p52; }

// Taylor series; |x| <= pi / 4.
double sine_near_zero(double x) {
  const double s = x * x;
  double term = x;
  double total = x;
  for (int n = 1; n <= 9; ++n) {
    term *= -s / static_cast<double>((2 * n) * (2 * n + 1));
    total += term;
  }
  return total;
}

double cosine_near_zero(double x) {
  const double s = x * x;
  double term = 1.0;
  double total = 1.0;
  for (int n = 1; n <= 9; ++n) {
    term *= -s / static_cast<double>((2 * n - 1) * (2 * n));
    total += term;
  }
  return total;
}

}  // namespace

SineCosine sine_cosine(double x) {
  const double turns = nearest(x * (1.0 / (kHalfPi1 + kHalfPi2)));
  const double r = ((x - turns * kHalfPi1) - turns * kHalfPi2) - turns * kHalfPi3;
  const double s = sine_near_zero(r);
  const double c = cosine_near_zero(r);
  switch (static_cast<std::int64_t>(turns) & 3) {
    case 0:
      return {s, c};
    case 1:
      return {c, -s};
    case 2:
      return {-s, -c};
    default:
      return {-c, s};
  }
}

double exponential(double x) {
  const double n = nearest(x / kLn2);
  const double r = (x - n * 0x1.62e42fefp-1) - n * 0x1.473de6af278edp-34;
  double term = 1.0;
  double total = 1.0;
  for (int i = 1; i <= 14; ++i) {
    term *= r / static_cast<double>(i);
    total += term;
  }
  return total * std::bit_cast<double>(static_cast<std::uint64_t>(static_cast<std::int64_t>(n) + 1023) << 52);
}

double logarithm(double x) {
  const auto bits = std::bit_cast<std::uint64_t>(x);
  auto exponent = static_cast<double>(static_cast<std::int64_t>(bits >> 52) - 1023);
  double mantissa = std::bit_cast<double>((bits & 0xFFFFFFFFFFFFFULL) | 0x3FF0000000000000ULL);
  if (mantissa > 0x1.6a09e667f3bcdp+0) {  // above sqrt(2)
    mantissa *= 0.5;
    exponent += 1.0;
  }
  const double z = (mantissa - 1.0) / (mantissa + 1.0);  // ln m = 2 atanh z, |z| <= 0.1716
  const double s = z * z;
  double power = z;
  double total = 0.0;
  for (int n = 1; n <= 23; n += 2) {
    total += power / static_cast<double>(n);
    power *= s;
  }
  return exponent * kLn2 + 2.0 * total;
}

}  // namespace mtp_rt
