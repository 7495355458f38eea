// Sine, cosine, exponential and logarithm in double precision from plain arithmetic: the C library's differ
// in the last place from one machine to another, and a rotation table must not.
#pragma once

namespace mtp_rt {

struct SineCosine {
  double sine;
  double cosine;
};

/// For |x| <= 2^21, within 1e-12.
[[nodiscard]] SineCosine sine_cosine(double x);

/// e^x for |x| <= 700, within 1e-14 relative.
[[nodiscard]] double exponential(double x);

/// ln x for positive normal x, within 1e-14 relative to max(1, |ln x|).
[[nodiscard]] double logarithm(double x);

}  // namespace mtp_rt
