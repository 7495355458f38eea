// What happens to 32 columns of every row between two matrix products.

void quantize(const float* values, int rows, int block, const Activations& out) {
  for (int r = 0; r < rows; ++r, values += kUnit) {
    const std::size_t at =
        (static_cast<std::size_t>(r / kPanel) * static_cast<std::size_t>(out.blocks) + block) * kPanel +
        r % kPanel;
    Lanes a = load(values);
    Lanes b = load(values + kLanes);
    const float greatest = lane_peak(peak(abs(a), abs(b)));
    if (!(greatest <= 3.40282347e38F)) a = b = zero();  // the scale, not finite either, spoils the whole row
    const float inverse = greatest > 0.0F ? 127.0F / greatest : 0.0F;
    const IntLanes qa = round(mul(a, all(inverse)));
    const IntLanes qb = round(mul(b, all(inverse)));
    store_bytes(qa, out.quantized + at * kBlock);
    store_bytes(qb, out.quantized + at * kBlock + kLanes);
    const std::int32_t total = sum(add(qa, qb));
    const float scale = greatest * (1.0F / 127.0F);
    out.scale[at] = scale;
    out.scaled_sum[at] = scale * static_cast<float>(total);
    out.offset[at] = -128 * total;
  }
}

void add_residual(float* values, int rows, const float* gain, float* residual, std::size_t stride,
                  float* squares, std::size_t squares_stride) {
  const Lanes gains[2] = {load(gain), load(gain + kLanes)};
  for (int r = 0; r < rows; ++r, values += kUnit, residual += stride, squares += squares_stride) {
    Lanes total = zero();
    for (int g = 0; g < 2; ++g) {
      const Lanes x = add(load(residual + g * kLanes), load(values + g * kLanes));
      store(x, residual + g * kLanes);
      total = fma(x, x, total);
      store(mul(x, gains[g]), values + g * kLanes);
    }
    *squares = lane_sum(total);
  }
}

void swiglu(float* gate, const float* up, int rows) {
  for (int i = 0; i < rows * kUnit; i += kLanes) {
    const Lanes g = load(gate + i);
    const Lanes silu = div(g, add(all(1.0F), exp(sub(zero(), g))));
    store(mul(silu, load(up + i)), gate + i);
  }
}

void rotate(float* values, int rows, const float* cosines, const float* sines, std::size_t stride,
            float scale) {
  for (int r = 0; r < rows; ++r, values += kUnit, cosines += stride, sines += stride) {
    for (int i = 0; i < kUnit; i += kLanes) {
      const Lanes x = load(values + i);
      const Lanes turned = fma(swap<1>(x), load(sines + i), mul(x, load(cosines + i)));
      store(mul(turned, all(scale)), values + i);
    }
  }
}

/// Lane i becomes its sum with lane i ^ kDistance, or their difference where that bit of i is set.
template <int kDistance>
inline Lanes butterfly(Lanes x) {
  alignas(64) float sign[kLanes];
  for (int i = 0; i < kLanes; ++i) sign[i] = (i & kDistance) == 0 ? 1.0F : -1.0F;
  return fma(x, load(sign), swap<kDistance>(x));
}

void mix(float* values, int rows) {
  const Lanes scale = all(0.176776695F);  // 1 / sqrt(32)
  for (int r = 0; r < rows; ++r, values += kUnit) {
    const Lanes a = load(values);
    const Lanes b = load(values + kLanes);
    const Lanes halves[2] = {add(a, b), sub(a, b)};
    for (int g = 0; g < 2; ++g) {
      const Lanes mixed = butterfly<1>(butterfly<2>(butterfly<4>(butterfly<8>(halves[g]))));
      store(mul(mixed, scale), values + g * kLanes);
    }
  }
}

void store_scores(const float* values, int rows, float* out, std::size_t stride, float* maxima) {
  for (int r = 0; r < rows; ++r, values += kUnit, out += stride) {
    const Lanes a = load(values);
    const Lanes b = load(values + kLanes);
    store(a, out);
    store(b, out + kLanes);
    maxima[r] = lane_max(max(a, b));
  }
}
