// Attention over one context block, and the fold of blocks into a row's result.

template <int kQueries>
void half_dot_some(const std::uint16_t* matrix, std::size_t stride, int n, const float* coefficients,
                   std::size_t coefficient_stride, float* out, std::size_t out_stride) {
  Lanes acc[kQueries];
  for (int q = 0; q < kQueries; ++q) acc[q] = load(out + q * out_stride);
  for (int i = 0; i < n; ++i, matrix += stride) {
    const Lanes m = load_half(matrix);
    for (int q = 0; q < kQueries; ++q) acc[q] = fma(m, all(coefficients[q * coefficient_stride + i]), acc[q]);
  }
  for (int q = 0; q < kQueries; ++q) store(acc[q], out + q * out_stride);
}

template <int kQueries>
int half_dot_up_to(int count, const std::uint16_t* matrix, std::size_t stride, int n,
                   const float* coefficients, std::size_t coefficient_stride, float* out,
                   std::size_t out_stride) {
  if constexpr (kQueries > 1) {
    if (count < kQueries) {
      return half_dot_up_to<kQueries - 1>(count, matrix, stride, n, coefficients, coefficient_stride, out,
                                          out_stride);
    }
  }
  half_dot_some<kQueries>(matrix, stride, n, coefficients, coefficient_stride, out, out_stride);
  return kQueries;
}

void half_dot(const std::uint16_t* matrix, std::size_t stride, int n, const float* coefficients,
              std::size_t coefficient_stride, int queries, float* out, std::size_t out_stride) {
  for (int q = 0; q < queries;) {
    const auto first = static_cast<std::size_t>(q);
    q += half_dot_up_to<kQueriesAtOnce>(queries - q, matrix, stride, n,
                                        coefficients + first * coefficient_stride, coefficient_stride,
                                        out + first * out_stride, out_stride);
  }
}

void softmax(float* scores, int n, float* max_out, float* sum_out) {
  const int whole = (n + kLanes - 1) / kLanes * kLanes;
  for (int i = n; i < whole; ++i) scores[i] = scores[0];
  Lanes peak = load(scores);
  for (int i = kLanes; i < whole; i += kLanes) peak = max(peak, load(scores + i));
  const float greatest = lane_max(peak);
  for (int i = 0; i < whole; i += kLanes) store(exp(sub(load(scores + i), all(greatest))), scores + i);
  for (int i = n; i < whole; ++i) scores[i] = 0.0F;
  Lanes total = zero();
  for (int i = 0; i < whole; i += kLanes) total = add(total, load(scores + i));
  *max_out = greatest;
  *sum_out = lane_sum(total);
}

inline float exp_of(float x) {
  alignas(64) float v[16];
  store(exp(all(x)), v);
  return v[0];
}

void fold(const float* partials, int blocks, std::size_t stride, int first, float* out) {
  const float* values = partials + kLanes + first;
  float greatest = partials[0];
  float total = partials[1];
  Lanes sums[2] = {load(values), load(values + kLanes)};
  for (int b = 1; b < blocks; ++b) {
    partials += stride;
    values += stride;
    const float peak = greatest > partials[0] ? greatest : partials[0];
    const float old_scale = exp_of(greatest - peak);
    const float new_scale = exp_of(partials[0] - peak);
    total = __builtin_fmaf(total, old_scale, partials[1] * new_scale);
    for (int g = 0; g < 2; ++g) {
      sums[g] = fma(sums[g], all(old_scale), mul(load(values + g * kLanes), all(new_scale)));
    }
    greatest = peak;
  }
  const Lanes inverse = all(1.0F / total);
  for (int g = 0; g < 2; ++g) store(mul(sums[g], inverse), out + g * kLanes);
}
