// Two 256-bit registers per 16 lanes. Compiled with AVX2, FMA and F16C; includes no header that defines
// functions of its own.
#if defined(__GNUC__) && !defined(__clang__)
// Sixteen registers hold a kernel's sums only if GCC does not stretch the lives of what it loads for them.
#pragma GCC optimize("live-range-shrinkage")
#endif
#include <immintrin.h>

#include "../kernel_table.h"

namespace mtp_rt::native {
namespace {

constexpr int kRowsAtOnce = 8;
constexpr int kQueriesAtOnce = 12;

struct Lanes {
  __m256 a, b;
};
struct IntLanes {
  __m256i a, b;
};
struct Nibbles {
  __m256i a, b;
};
/// Sums of at most 8 steps of 4 inputs: 16-bit halves of a lane hold 8 * 2 * 15 * 127 = 30480 at most.
struct NibbleSums {
  __m256i a, b;
};
struct ByteSums {
  NibbleSums upper, lower;
};
struct Bytes {
  __m256i a, b;
};
struct Words {
  __m256i a, b;
};

inline Lanes zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
inline Lanes all(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
inline Lanes load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline void store(Lanes x, float* p) {
  _mm256_storeu_ps(p, x.a);
  _mm256_storeu_ps(p + 8, x.b);
}
inline __m128i load_eight(const std::uint16_t* p) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}
inline Lanes load_half(const std::uint16_t* p) {
  return {_mm256_cvtph_ps(load_eight(p)), _mm256_cvtph_ps(load_eight(p + 8))};
}
inline __m256 widen_bf16(__m128i x) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16));
}
inline Lanes load_bf16(const std::uint16_t* p) {
  return {widen_bf16(load_eight(p)), widen_bf16(load_eight(p + 8))};
}
inline Lanes add(Lanes x, Lanes y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
inline Lanes sub(Lanes x, Lanes y) { return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)}; }
inline Lanes mul(Lanes x, Lanes y) { return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
inline Lanes div(Lanes x, Lanes y) { return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)}; }
inline Lanes fma(Lanes x, Lanes y, Lanes z) {
  return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
inline Lanes max(Lanes x, Lanes y) { return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)}; }
inline Lanes min(Lanes x, Lanes y) { return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)}; }
inline Lanes abs(Lanes x) {
  const __m256 sign = _mm256_set1_ps(-0.0F);
  return {_mm256_andnot_ps(sign, x.a), _mm256_andnot_ps(sign, x.b)};
}
/// Lanes 0 .. n - 1 of x, the rest of y.
inline __m256 first(int n, __m256 x, __m256 y) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_blendv_ps(y, x, _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(n), lane)));
}
inline Lanes first(int n, Lanes x, Lanes y) { return {first(n, x.a, y.a), first(n - 8, x.b, y.b)}; }
/// Exchanges lanes i and i ^ kDistance.
template <int kDistance>
inline Lanes swap(Lanes x) {
  if constexpr (kDistance == 1) return {_mm256_permute_ps(x.a, 0xB1), _mm256_permute_ps(x.b, 0xB1)};
  if constexpr (kDistance == 2) return {_mm256_permute_ps(x.a, 0x4E), _mm256_permute_ps(x.b, 0x4E)};
  if constexpr (kDistance == 4)
    return {_mm256_permute2f128_ps(x.a, x.a, 1), _mm256_permute2f128_ps(x.b, x.b, 1)};
  if constexpr (kDistance == 8) return {x.b, x.a};
}

// Both reductions fold halves: lane i with i + 8, then i + 4, i + 2, i + 1.
inline float lane_sum(Lanes x) {
  const __m256 eight = _mm256_add_ps(x.a, x.b);
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  four = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}
inline float lane_max(Lanes x) {
  const __m256 eight = _mm256_max_ps(x.a, x.b);
  __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  four = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
}

/// The greatest of lanes that are not negative; NaN where one is: as integers, its bits are above all others.
inline float lane_peak(Lanes x) {
  const __m256i eight = _mm256_max_epi32(_mm256_castps_si256(x.a), _mm256_castps_si256(x.b));
  __m128i four = _mm_max_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4E));
  four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0xB1));
  return __builtin_bit_cast(float, _mm_cvtsi128_si32(four));
}
inline __m256 peak(__m256 a, __m256 b) {
  return _mm256_castsi256_ps(_mm256_max_epi32(_mm256_castps_si256(a), _mm256_castps_si256(b)));
}
inline Lanes peak(Lanes x, Lanes y) { return {peak(x.a, y.a), peak(x.b, y.b)}; }

inline IntLanes all_int(std::int32_t x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
inline IntLanes add(IntLanes x, IntLanes y) {
  return {_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)};
}
inline Lanes to_float(IntLanes x) { return {_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)}; }
inline IntLanes round(Lanes x) { return {_mm256_cvtps_epi32(x.a), _mm256_cvtps_epi32(x.b)}; }
inline __m256 power_of_two(__m256i n) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}
inline Lanes power_of_two(IntLanes n) { return {power_of_two(n.a), power_of_two(n.b)}; }
inline std::int32_t sum(IntLanes x) {
  const __m256i eight = _mm256_add_epi32(x.a, x.b);
  __m128i four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4E));
  four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0xB1));
  return _mm_cvtsi128_si32(four);
}
inline void store_bytes(IntLanes x, std::int8_t* p) {
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(x.a, x.b), 0xD8);
  const __m128i bytes = _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bytes);
}

inline Nibbles load_nibbles(const std::uint8_t* p) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)),
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32))};
}
inline __m256i four_bytes(const std::int8_t* p) {
  std::int32_t x = 0;
  __builtin_memcpy(&x, p, 4);
  return _mm256_set1_epi32(x);
}
inline __m256i low_half(__m256i n) { return _mm256_and_si256(n, _mm256_set1_epi8(0x0F)); }
inline __m256i high_half(__m256i n) { return low_half(_mm256_srli_epi16(n, 4)); }

inline NibbleSums no_nibbles() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
inline __m256i add_pairs(__m256i sums, __m256i nibbles, __m256i x) {
  return _mm256_add_epi16(sums, _mm256_maddubs_epi16(nibbles, x));
}
/// sums[lane] += sum over 4 bytes of the low (or high) nibbles times x[0..3].
inline NibbleSums dot_low(NibbleSums sums, Nibbles n, const std::int8_t* x) {
  const __m256i bytes = four_bytes(x);
  return {add_pairs(sums.a, low_half(n.a), bytes), add_pairs(sums.b, low_half(n.b), bytes)};
}
inline NibbleSums dot_high(NibbleSums sums, Nibbles n, const std::int8_t* x) {
  const __m256i bytes = four_bytes(x);
  return {add_pairs(sums.a, high_half(n.a), bytes), add_pairs(sums.b, high_half(n.b), bytes)};
}
/// weight * the sums.
inline IntLanes total(NibbleSums sums, short weight = 1) {
  const __m256i by = _mm256_set1_epi16(weight);
  return {_mm256_madd_epi16(sums.a, by), _mm256_madd_epi16(sums.b, by)};
}

/// The same for bytes whose upper and lower four bits come from two nibble planes.
inline ByteSums no_bytes() { return {no_nibbles(), no_nibbles()}; }
inline ByteSums dot_low(ByteSums sums, Nibbles upper, Nibbles lower, const std::int8_t* x) {
  return {dot_low(sums.upper, upper, x), dot_low(sums.lower, lower, x)};
}
inline ByteSums dot_high(ByteSums sums, Nibbles upper, Nibbles lower, const std::int8_t* x) {
  return {dot_high(sums.upper, upper, x), dot_high(sums.lower, lower, x)};
}
inline IntLanes total(ByteSums sums) { return add(total(sums.upper, 16), total(sums.lower)); }

/// 64 bytes that each hold a signed value plus 128.
inline Bytes load_bytes(const std::uint8_t* p) {
  const __m256i middle = _mm256_set1_epi8(-128);
  return {_mm256_xor_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)), middle),
          _mm256_xor_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32)), middle)};
}
// |value| times a byte of the value's sign: two such products fit 16 bits.
inline __m256i dot_bytes(__m256i sums, __m256i values, __m256i x) {
  const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(values), _mm256_sign_epi8(x, values));
  return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
/// Sums over bytes begin with -128 * the sum of all x, for where the 128 is not taken off before.
inline IntLanes no_values(std::int32_t) { return all_int(0); }
/// sums[lane] += sum over 4 of value * x[0..3].
inline IntLanes dot_values(IntLanes sums, Bytes n, const std::int8_t* x) {
  const __m256i bytes = four_bytes(x);
  return {dot_bytes(sums.a, n.a, bytes), dot_bytes(sums.b, n.b, bytes)};
}

/// 32 signed bytes as words; the low halves of x, the high halves from y: words of 0 .. 32767.
inline Words load_words(const std::int8_t* p) {
  return {_mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
          _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 16)))};
}
inline IntLanes pair(IntLanes x, IntLanes y) {
  return {_mm256_or_si256(x.a, _mm256_slli_epi32(y.a, 16)), _mm256_or_si256(x.b, _mm256_slli_epi32(y.b, 16))};
}
inline void store(IntLanes x, std::int32_t* p) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), x.a);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 8), x.b);
}
/// acc[lane] += sum over 2 of word * the words of x.
inline IntLanes dot_words(IntLanes acc, Words w, std::int32_t x) {
  const __m256i words = _mm256_set1_epi32(x);
  return {_mm256_add_epi32(acc.a, _mm256_madd_epi16(w.a, words)),
          _mm256_add_epi32(acc.b, _mm256_madd_epi16(w.b, words))};
}

#include "../kernels.inl"

}  // namespace

constinit const KernelTable kernels_avx2 = make_table("avx2");

}  // namespace mtp_rt::native
