// Attention over one context block, and the fold of blocks into a row's result.

constexpr std::size_t kHalvesAhead = 4096;  // a cache block goes on in the next one

template <int kQueries, int kColumns>
void half_dot_tile(const std::uint16_t* matrix, std::size_t stride, std::size_t column_stride, int n,
                   const float* coefficients, float* out, std::size_t out_stride) {
  Lanes acc[kQueries][kColumns];
  for (int q = 0; q < kQueries; ++q) {
    for (int c = 0; c < kColumns; ++c) acc[q][c] = load(out + q * out_stride + c * kLanes);
  }
  for (int i = 0; i < n; ++i, matrix += stride, ++coefficients) {
    Lanes m[kColumns];
#pragma GCC unroll 4
    for (int c = 0; c < kColumns; ++c) {
      __builtin_prefetch(matrix + c * column_stride + kHalvesAhead, 0, 2);
      m[c] = load_half(matrix + c * column_stride);
    }
#pragma GCC unroll 12
    for (int q = 0; q < kQueries; ++q) {
      const Lanes weight = all(coefficients[q * kCoefficientStride]);
#pragma GCC unroll 4
      for (int c = 0; c < kColumns; ++c) acc[q][c] = fma(m[c], weight, acc[q][c]);
    }
  }
  for (int q = 0; q < kQueries; ++q) {
    for (int c = 0; c < kColumns; ++c) store(acc[q][c], out + q * out_stride + c * kLanes);
  }
}

/// Columns whose sums run side by side: enough accumulators to hide the latency of a multiply-add.
constexpr int columns_at_once(int queries) {
  const int fit = kQueriesAtOnce / queries;
  return fit >= 4 ? 4 : fit >= 2 ? 2 : 1;
}

template <int kQueries>
void half_dot_queries(const std::uint16_t* matrix, std::size_t stride, std::size_t column_stride, int columns,
                      int n, const float* coefficients, float* out, std::size_t out_stride) {
  constexpr int kColumns = columns_at_once(kQueries);
  int c = 0;
  for (; c + kColumns <= columns; c += kColumns) {
    half_dot_tile<kQueries, kColumns>(matrix + c * column_stride, stride, column_stride, n, coefficients,
                                      out + c * kLanes, out_stride);
  }
  for (; c < columns; ++c) {
    half_dot_tile<kQueries, 1>(matrix + c * column_stride, stride, column_stride, n, coefficients,
                               out + c * kLanes, out_stride);
  }
}

/// Runs the largest compiled number of queries not above `count`; returns it.
template <int kQueries>
int half_dot_some(int count, const std::uint16_t* matrix, std::size_t stride, std::size_t column_stride,
                  int columns, int n, const float* coefficients, float* out, std::size_t out_stride) {
  if constexpr (kQueries > 1) {
    if (count < kQueries) {
      return half_dot_some<kQueries - 1>(count, matrix, stride, column_stride, columns, n, coefficients, out,
                                         out_stride);
    }
  }
  half_dot_queries<kQueries>(matrix, stride, column_stride, columns, n, coefficients, out, out_stride);
  return kQueries;
}

void half_dot(const HalfMatrix& matrix, const float* coefficients, int queries, float* out,
              std::size_t out_stride) {
  for (int q = 0; q < queries;) {
    const auto first = static_cast<std::size_t>(q);
    q += half_dot_some<kQueriesAtOnce>(queries - q, matrix.data, matrix.stride, matrix.column_stride,
                                       matrix.columns, matrix.n, coefficients + first * kCoefficientStride,
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

// Weights of up to 16 blocks from `first` on: e^(their max - greatest).
inline void block_weights(const float* partials, int blocks, std::size_t stride, int first, float greatest,
                          float* weights) {
  alignas(64) float maxima[kLanes];
  for (int i = 0; i < kLanes; ++i) {
    const int b = first + i;
    maxima[i] = b < blocks ? partials[static_cast<std::size_t>(b) * stride] : greatest;
  }
  store(exp(sub(load(maxima), all(greatest))), weights);
}

void fold(const float* partials, int blocks, std::size_t stride, int first, float* out) {
  float greatest = partials[0];
  for (int b = 1; b < blocks; ++b) {
    const float peak = partials[static_cast<std::size_t>(b) * stride];
    greatest = greatest > peak ? greatest : peak;
  }
  alignas(64) float weights[kLanes];
  float total = 0.0F;
  Lanes sums[2] = {zero(), zero()};
  for (int b = 0; b < blocks; ++b) {
    if (b % kLanes == 0) block_weights(partials, blocks, stride, b, greatest, weights);
    const float* part = partials + static_cast<std::size_t>(b) * stride;
    const float weight = weights[b % kLanes];
    total = __builtin_fmaf(weight, part[1], total);
    for (int g = 0; g < 2; ++g) sums[g] = fma(load(part + kLanes + first + g * kLanes), all(weight), sums[g]);
  }
  const Lanes inverse = all(1.0F / total);
  for (int g = 0; g < 2; ++g) store(mul(sums[g], inverse), out + g * kLanes);
}
