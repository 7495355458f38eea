#include "engines/native/lm_head.h"

#include <algorithm>

namespace mtp_rt::native {

void LmHead::score(const Unit& unit, DotKernel dot, ThreadScratch& s, float* logits) const {
  float* values = s.unit(0, rows);
  float* maxima = maxima_of(unit);
  dot(unit.tiles, input, s.head_scale.data(), 0, rows, values);
  const auto stride = static_cast<std::size_t>(vocab_size);
  const int first = unit.index * kUnit;
  if (first + kUnit <= vocab_size) return kernels.store_scores(values, rows, logits + first, stride, maxima);
  for (int r = 0; r < rows; ++r) {  // the last unit of a vocabulary that is no multiple of 32
    const float* from = values + static_cast<std::size_t>(r) * kUnit;
    std::copy(from, from + (vocab_size - first), logits + static_cast<std::size_t>(r) * stride + first);
    maxima[r] = *std::max_element(from, from + (vocab_size - first));
  }
}

void LmHead::refine(const Unit& unit, const float* thresholds, const ThreadScratch& s, float* logits) const {
  float* maxima = maxima_of(unit);
  const auto has_candidate = [&](int row) { return maxima[row] >= thresholds[row]; };
  int begin = 0;
  int end = rows;
  while (begin < end && !has_candidate(begin)) ++begin;
  while (begin < end && !has_candidate(end - 1)) --end;
  if (begin == end) return;
  float* exact = s.unit(0, rows);
  unit.dot(unit.tiles, input, s.head_scale.data(), begin, end - begin, exact);
  const int first = unit.index * kUnit;
  const int n = std::min(kUnit, vocab_size - first);
  for (int r = begin; r < end; ++r, exact += kUnit) {
    float* out = logits + static_cast<std::size_t>(r) * static_cast<std::size_t>(vocab_size) + first;
    for (int i = 0; i < n; ++i) {
      if (out[i] >= thresholds[r]) out[i] = exact[i];
    }
    maxima[r] = *std::max_element(out, out + n);
  }
}

void LmHead::run(int thread, ThreadPool& pool, std::span<float> logits) const {
  ThreadScratch& s = threads[static_cast<std::size_t>(thread)];
  const std::vector<Unit>& units = product.units[static_cast<std::size_t>(thread)];
  if (!margin) {
    for (const Unit& unit : units) score(unit, unit.dot, s, logits.data());
    return;
  }
  std::fill_n(s.maxima.begin(), rows, -__builtin_inff());
  for (const Unit& unit : units) {
    score(unit, kernels.dot_q8_coarse, s, logits.data());
    const float* maxima = maxima_of(unit);
    for (int r = 0; r < rows; ++r)
      s.maxima[static_cast<std::size_t>(r)] = std::max(s.maxima[static_cast<std::size_t>(r)], maxima[r]);
  }
  pool.barrier();
  std::vector<float>& thresholds = s.row_scale;  // no longer needed in this call
  for (std::size_t r = 0; r < static_cast<std::size_t>(rows); ++r) {
    float best = threads.front().maxima[r];
    for (const ThreadScratch& other : threads) best = std::max(best, other.maxima[r]);
    thresholds[r] = best - *margin;
  }
  for (const Unit& unit : units) refine(unit, thresholds.data(), s, logits.data());
}

}  // namespace mtp_rt::native
