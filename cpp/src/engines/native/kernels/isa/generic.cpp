// Plain C++: an array per 16 lanes. The oracle for the vector tables, and the fallback of CPUs without AVX2.
#include "../kernel_table.h"

namespace mtp_rt::native {
namespace {

constexpr int kRowsAtOnce = 1;
constexpr int kQueriesAtOnce = 1;

struct Lanes {
  float v[16];
};
struct IntLanes {
  std::int32_t v[16];
};
struct Nibbles {
  std::uint8_t v[64];
};
using NibbleSums = IntLanes;
using ByteSums = IntLanes;
struct Bytes {
  std::uint8_t v[64];
};
struct Words {
  std::int32_t v[32];
};

inline float from_bits(std::uint32_t bits) { return __builtin_bit_cast(float, bits); }
inline std::uint32_t to_bits(float x) { return __builtin_bit_cast(std::uint32_t, x); }

template <typename F>
inline Lanes each(F f) {
  Lanes out;
  for (int i = 0; i < 16; ++i) out.v[i] = f(i);
  return out;
}
template <typename F>
inline IntLanes each_int(F f) {
  IntLanes out;
  for (int i = 0; i < 16; ++i) out.v[i] = f(i);
  return out;
}

inline float half_to_float(std::uint16_t h) {
  const std::uint32_t sign = (h & 0x8000U) << 16;
  const std::uint32_t magnitude = h & 0x7FFFU;
  if (magnitude >= 0x7C00U) return from_bits(sign | 0x7F800000U | ((magnitude & 0x3FFU) << 13));
  if (magnitude >= 0x0400U) return from_bits(sign | ((magnitude << 13) + (112U << 23)));
  const float subnormal = static_cast<float>(magnitude) * 0x1p-24F;
  return from_bits(sign | to_bits(subnormal));
}

inline Lanes zero() {
  return each([](int) { return 0.0F; });
}
inline Lanes all(float x) {
  return each([=](int) { return x; });
}
inline Lanes load(const float* p) {
  return each([=](int i) { return p[i]; });
}
inline void store(Lanes x, float* p) {
  for (int i = 0; i < 16; ++i) p[i] = x.v[i];
}
inline Lanes load_half(const std::uint16_t* p) {
  return each([=](int i) { return half_to_float(p[i]); });
}
inline Lanes load_bf16(const std::uint16_t* p) {
  return each([=](int i) { return from_bits(static_cast<std::uint32_t>(p[i]) << 16); });
}
inline Lanes add(const Lanes& a, const Lanes& b) {
  return each([&](int i) { return a.v[i] + b.v[i]; });
}
inline Lanes sub(const Lanes& a, const Lanes& b) {
  return each([&](int i) { return a.v[i] - b.v[i]; });
}
inline Lanes mul(const Lanes& a, const Lanes& b) {
  return each([&](int i) { return a.v[i] * b.v[i]; });
}
inline Lanes div(const Lanes& a, const Lanes& b) {
  return each([&](int i) { return a.v[i] / b.v[i]; });
}
inline Lanes fma(const Lanes& a, const Lanes& b, const Lanes& c) {
  return each([&](int i) { return __builtin_fmaf(a.v[i], b.v[i], c.v[i]); });
}
// As the vector instructions do: the second operand where either is NaN or both are zero.
inline Lanes max(const Lanes& a, const Lanes& b) {
  return each([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
}
inline Lanes min(const Lanes& a, const Lanes& b) {
  return each([&](int i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
}
inline Lanes abs(const Lanes& a) {
  return each([&](int i) { return from_bits(to_bits(a.v[i]) & 0x7FFFFFFFU); });
}
/// Lanes 0 .. n - 1 of a, the rest of b.
inline Lanes first(int n, const Lanes& a, const Lanes& b) {
  return each([&](int i) { return i < n ? a.v[i] : b.v[i]; });
}
/// Exchanges lanes i and i ^ kDistance.
template <int kDistance>
inline Lanes swap(const Lanes& a) {
  return each([&](int i) { return a.v[i ^ kDistance]; });
}

// Both reductions fold halves: lane i with i + 8, then i + 4, i + 2, i + 1.
inline float lane_sum(Lanes x) {
  for (int width = 8; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) x.v[i] += x.v[i + width];
  }
  return x.v[0];
}
inline float lane_max(Lanes x) {
  for (int width = 8; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) x.v[i] = x.v[i] > x.v[i + width] ? x.v[i] : x.v[i + width];
  }
  return x.v[0];
}

/// The greatest of lanes that are not negative; NaN where one is: as integers, its bits are above all others.
inline Lanes peak(const Lanes& a, const Lanes& b) {
  return each([&](int i) { return to_bits(a.v[i]) > to_bits(b.v[i]) ? a.v[i] : b.v[i]; });
}
inline float lane_peak(const Lanes& x) {
  std::uint32_t greatest = 0;
  for (const float v : x.v) greatest = to_bits(v) > greatest ? to_bits(v) : greatest;
  return from_bits(greatest);
}

inline IntLanes all_int(std::int32_t x) {
  return each_int([=](int) { return x; });
}
inline IntLanes add(const IntLanes& a, const IntLanes& b) {
  return each_int([&](int i) { return a.v[i] + b.v[i]; });
}
inline Lanes to_float(const IntLanes& a) {
  return each([&](int i) { return static_cast<float>(a.v[i]); });
}
// Adding and taking away 1.5 * 2^23 leaves the nearest integer, ties to even, for |x| < 2^22; NaN and values
// beyond become the vector instructions' "indefinite" integer.
inline IntLanes round(const Lanes& a) {
  return each_int([&](int i) {
    if (!(from_bits(to_bits(a.v[i]) & 0x7FFFFFFFU) < 0x1p22F))
      return static_cast<std::int32_t>(-0x7FFFFFFF - 1);
    return static_cast<std::int32_t>((a.v[i] + 0x1.8p23F) - 0x1.8p23F);
  });
}
inline Lanes power_of_two(const IntLanes& n) {
  return each([&](int i) { return from_bits((static_cast<std::uint32_t>(n.v[i]) + 127U) << 23); });
}
inline std::int32_t sum(const IntLanes& a) {
  std::int32_t total = 0;
  for (const std::int32_t x : a.v) total += x;
  return total;
}
inline void store_bytes(const IntLanes& a, std::int8_t* p) {
  for (int i = 0; i < 16; ++i) {
    const std::int32_t x = a.v[i] < -128 ? -128 : a.v[i] > 127 ? 127 : a.v[i];
    p[i] = static_cast<std::int8_t>(x);
  }
}

inline Nibbles load_nibbles(const std::uint8_t* p) {
  Nibbles out;
  for (int i = 0; i < 64; ++i) out.v[i] = p[i];
  return out;
}
template <typename F>
inline IntLanes dot(const IntLanes& acc, const std::int8_t* x, F weight) {
  return each_int([&](int i) {
    std::int32_t total = acc.v[i];
    for (int b = 0; b < 4; ++b) total += weight(4 * i + b) * x[b];
    return total;
  });
}
inline NibbleSums no_nibbles() { return all_int(0); }
/// sums[lane] += sum over 4 bytes of the low (or high) nibbles times x[0..3].
inline NibbleSums dot_low(const NibbleSums& sums, const Nibbles& n, const std::int8_t* x) {
  return dot(sums, x, [&](int i) { return n.v[i] & 15; });
}
inline NibbleSums dot_high(const NibbleSums& sums, const Nibbles& n, const std::int8_t* x) {
  return dot(sums, x, [&](int i) { return n.v[i] >> 4; });
}
inline IntLanes total(const NibbleSums& sums) { return sums; }

/// The same for bytes whose upper and lower four bits come from two nibble planes.
inline ByteSums no_bytes() { return all_int(0); }
inline ByteSums dot_low(const ByteSums& sums, const Nibbles& upper, const Nibbles& lower,
                        const std::int8_t* x) {
  return dot(sums, x, [&](int i) { return (upper.v[i] & 15) * 16 + (lower.v[i] & 15); });
}
inline ByteSums dot_high(const ByteSums& sums, const Nibbles& upper, const Nibbles& lower,
                         const std::int8_t* x) {
  return dot(sums, x, [&](int i) { return (upper.v[i] >> 4) * 16 + (lower.v[i] >> 4); });
}

/// 64 bytes that each hold a signed value plus 128.
inline Bytes load_bytes(const std::uint8_t* p) {
  Bytes out;
  for (int i = 0; i < 64; ++i) out.v[i] = p[i];
  return out;
}
/// Sums over bytes begin with -128 * the sum of all x, for where the 128 is not taken off before.
inline IntLanes no_values(std::int32_t offset) { return all_int(offset); }
/// sums[lane] += sum over 4 of value * x[0..3].
inline IntLanes dot_values(const IntLanes& sums, const Bytes& b, const std::int8_t* x) {
  return dot(sums, x, [&](int i) { return static_cast<std::int32_t>(b.v[i]); });
}

inline std::int32_t widened(std::int8_t byte) { return byte; }

/// 32 signed bytes as words; the low halves of a, the high halves from b: words of 0 .. 32767.
inline Words load_words(const std::int8_t* p) {
  Words out;
  for (int i = 0; i < 32; ++i) out.v[i] = widened(p[i]);
  return out;
}
inline IntLanes pair(const IntLanes& a, const IntLanes& b) {
  return each_int([&](int i) {
    return static_cast<std::int32_t>(static_cast<std::uint32_t>(a.v[i]) |
                                     (static_cast<std::uint32_t>(b.v[i]) << 16));
  });
}
inline void store(const IntLanes& a, std::int32_t* p) {
  for (int i = 0; i < 16; ++i) p[i] = a.v[i];
}
/// acc[lane] += sum over 2 of word * the words of x.
inline IntLanes dot_words(const IntLanes& acc, const Words& w, std::int32_t x) {
  const auto low = static_cast<std::int16_t>(x);
  const auto high = static_cast<std::int16_t>(x >> 16);
  return each_int([&](int i) { return acc.v[i] + w.v[2 * i] * low + w.v[2 * i + 1] * high; });
}

#include "../kernels.inl"

}  // namespace

constinit const KernelTable kernels_generic = make_table("generic");

}  // namespace mtp_rt::native
