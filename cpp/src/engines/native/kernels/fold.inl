// The fold of context blocks into a row's attention.

// Weights of up to 16 blocks from `first` on: 2^(their max - greatest).
inline void block_weights(const float* partials, int blocks, std::size_t stride, int first, float greatest,
                          float* weights) {
  alignas(64) float maxima[kLanes];
  for (int i = 0; i < kLanes; ++i) {
    const int b = first + i;
    maxima[i] = b < blocks ? partials[static_cast<std::size_t>(b) * stride] : greatest;
  }
  store(exp2(sub(load(maxima), all(greatest))), weights);
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
