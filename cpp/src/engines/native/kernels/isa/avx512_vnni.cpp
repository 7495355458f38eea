// One 512-bit register per 16 lanes. Compiled with AVX-512 F, BW, VL, DQ and VNNI; includes no header that
// defines functions of its own.
#include <immintrin.h>

#include "../kernel_table.h"

namespace mtp_rt::native {
namespace {

constexpr int kRowsAtOnce = 8;
constexpr int kQueriesAtOnce = 12;

struct Lanes {
  __m512 v;
};
struct IntLanes {
  __m512i v;
};
struct Nibbles {
  __m512i v;  // 128 values: two per byte
};
/// Two chains of sums, which hide the latency of a step.
struct NibbleSums {
  __m512i low, high;
};
using ByteSums = NibbleSums;
struct Bytes {
  __m512i v;  // 64 unsigned values: four per lane
};
struct Words {
  __m512i v;  // 32 signed values: two per lane
};

inline Lanes zero() { return {_mm512_setzero_ps()}; }
inline Lanes all(float x) { return {_mm512_set1_ps(x)}; }
inline Lanes load(const float* p) { return {_mm512_loadu_ps(p)}; }
inline void store(Lanes x, float* p) { _mm512_storeu_ps(p, x.v); }
inline Lanes load_half(const std::uint16_t* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
inline Lanes load_bf16(const std::uint16_t* p) {
  const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(wide, 16))};
}
inline Lanes add(Lanes a, Lanes b) { return {_mm512_add_ps(a.v, b.v)}; }
inline Lanes sub(Lanes a, Lanes b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline Lanes mul(Lanes a, Lanes b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline Lanes div(Lanes a, Lanes b) { return {_mm512_div_ps(a.v, b.v)}; }
inline Lanes fma(Lanes a, Lanes b, Lanes c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
inline Lanes max(Lanes a, Lanes b) { return {_mm512_max_ps(a.v, b.v)}; }
inline Lanes min(Lanes a, Lanes b) { return {_mm512_min_ps(a.v, b.v)}; }
inline Lanes abs(Lanes a) { return {_mm512_abs_ps(a.v)}; }
/// Lanes 0 .. n - 1 of a, the rest of b.
inline Lanes first(int n, Lanes a, Lanes b) {
  return {_mm512_mask_blend_ps(static_cast<__mmask16>((1U << n) - 1U), b.v, a.v)};
}
/// Exchanges lanes i and i ^ kDistance.
template <int kDistance>
inline Lanes swap(Lanes a) {
  if constexpr (kDistance == 1) return {_mm512_permute_ps(a.v, 0xB1)};
  if constexpr (kDistance == 2) return {_mm512_permute_ps(a.v, 0x4E)};
  if constexpr (kDistance == 4) return {_mm512_shuffle_f32x4(a.v, a.v, 0xB1)};
  if constexpr (kDistance == 8) return {_mm512_shuffle_f32x4(a.v, a.v, 0x4E)};
}

// Both reductions fold halves: lane i with i + 8, then i + 4, i + 2, i + 1.
inline float lane_sum(Lanes x) {
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(x.v), _mm512_extractf32x8_ps(x.v, 1));
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  four = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}
inline float lane_max(Lanes x) {
  const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(x.v), _mm512_extractf32x8_ps(x.v, 1));
  __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  four = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
}

/// The greatest of lanes that are not negative; NaN where one is: as integers, its bits are above all others.
inline float lane_peak(Lanes x) {
  return __builtin_bit_cast(float, _mm512_reduce_max_epi32(_mm512_castps_si512(x.v)));
}
inline Lanes peak(Lanes a, Lanes b) {
  return {_mm512_castsi512_ps(_mm512_max_epi32(_mm512_castps_si512(a.v), _mm512_castps_si512(b.v)))};
}

inline IntLanes all_int(std::int32_t x) { return {_mm512_set1_epi32(x)}; }
inline IntLanes add(IntLanes a, IntLanes b) { return {_mm512_add_epi32(a.v, b.v)}; }
inline Lanes to_float(IntLanes a) { return {_mm512_cvtepi32_ps(a.v)}; }
inline IntLanes round(Lanes a) { return {_mm512_cvtps_epi32(a.v)}; }
inline Lanes power_of_two(IntLanes n) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(n.v, _mm512_set1_epi32(127)), 23))};
}
inline std::int32_t sum(IntLanes a) { return _mm512_reduce_add_epi32(a.v); }
inline void store_bytes(IntLanes a, std::int8_t* p) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtsepi32_epi8(a.v));
}

inline Nibbles load_nibbles(const std::uint8_t* p) { return {_mm512_loadu_si512(p)}; }
inline std::int32_t four_bytes(const std::int8_t* p) {
  std::int32_t x = 0;
  __builtin_memcpy(&x, p, 4);
  return x;
}
inline __m512i low_bits() { return _mm512_set1_epi8(0x0F); }
inline __m512i dot(__m512i acc, __m512i unsigned_bytes, const std::int8_t* x) {
  return _mm512_dpbusd_epi32(acc, unsigned_bytes, _mm512_set1_epi32(four_bytes(x)));
}

inline NibbleSums no_nibbles() { return {_mm512_setzero_si512(), _mm512_setzero_si512()}; }
/// sums[lane] += sum over 4 bytes of the low (or high) nibbles times x[0..3].
inline NibbleSums dot_low(NibbleSums sums, Nibbles n, const std::int8_t* x) {
  return {dot(sums.low, _mm512_and_si512(n.v, low_bits()), x), sums.high};
}
inline NibbleSums dot_high(NibbleSums sums, Nibbles n, const std::int8_t* x) {
  return {sums.low, dot(sums.high, _mm512_and_si512(_mm512_srli_epi16(n.v, 4), low_bits()), x)};
}
inline IntLanes total(NibbleSums sums) { return {_mm512_add_epi32(sums.low, sums.high)}; }

/// The same for bytes whose upper and lower four bits come from two nibble planes.
inline ByteSums no_bytes() { return no_nibbles(); }
inline ByteSums dot_low(ByteSums sums, Nibbles upper, Nibbles lower, const std::int8_t* x) {
  const __m512i shifted = _mm512_slli_epi16(upper.v, 4);
  return {dot(sums.low, _mm512_ternarylogic_epi32(low_bits(), lower.v, shifted, 0xCA), x), sums.high};
}
inline ByteSums dot_high(ByteSums sums, Nibbles upper, Nibbles lower, const std::int8_t* x) {
  const __m512i shifted = _mm512_srli_epi16(lower.v, 4);
  return {sums.low, dot(sums.high, _mm512_ternarylogic_epi32(low_bits(), shifted, upper.v, 0xCA), x)};
}

/// 64 bytes that each hold a signed value plus 128.
inline Bytes load_bytes(const std::uint8_t* p) { return {_mm512_loadu_si512(p)}; }
/// Sums over bytes begin with -128 * the sum of all x, for where the 128 is not taken off before.
inline IntLanes no_values(std::int32_t offset) { return all_int(offset); }
/// sums[lane] += sum over 4 of value * x[0..3].
inline IntLanes dot_values(IntLanes sums, Bytes b, const std::int8_t* x) { return {dot(sums.v, b.v, x)}; }

/// 32 signed bytes as words; the low halves of a, the high halves from b: words of 0 .. 32767.
inline Words load_words(const std::int8_t* p) {
  return {_mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
inline IntLanes pair(IntLanes a, IntLanes b) { return {_mm512_or_si512(a.v, _mm512_slli_epi32(b.v, 16))}; }
inline void store(IntLanes a, std::int32_t* p) { _mm512_storeu_si512(p, a.v); }
/// acc[lane] += sum over 2 of word * the words of x.
inline IntLanes dot_words(IntLanes acc, Words w, std::int32_t x) {
  return {_mm512_dpwssd_epi32(acc.v, w.v, _mm512_set1_epi32(x))};
}

#include "../kernels.inl"

}  // namespace

constinit const KernelTable kernels_avx512_vnni = make_table("avx512_vnni");

}  // namespace mtp_rt::native
