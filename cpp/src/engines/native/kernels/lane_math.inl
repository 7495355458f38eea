// Functions over lanes that are the same on every instruction set.

/// e^x within 2 units in the last place; clamped to [-87, 88]. NaN stays NaN.
inline Lanes exp(Lanes x) {
  x = max(all(-87.0F), min(all(88.0F), x));
  const IntLanes n = round(mul(x, all(1.44269504F)));
  const Lanes whole = to_float(n);
  Lanes r = fma(whole, all(-0.693359375F), x);
  r = fma(whole, all(2.12194440e-4F), r);
  Lanes p = fma(r, all(1.0F / 720.0F), all(1.0F / 120.0F));
  p = fma(p, r, all(1.0F / 24.0F));
  p = fma(p, r, all(1.0F / 6.0F));
  p = fma(p, r, all(0.5F));
  p = fma(p, r, all(1.0F));
  p = fma(p, r, all(1.0F));
  return mul(p, power_of_two(n));
}

/// 2^x within 2 units in the last place for x <= 0; clamped to -126. NaN stays NaN.
inline Lanes exp2(Lanes x) {
  x = max(all(-126.0F), x);
  const IntLanes n = round(x);
  const Lanes r = sub(x, to_float(n));
  Lanes p = fma(r, all(0.00132647273F), all(0.00967151299F));
  p = fma(p, r, all(0.0555073358F));
  p = fma(p, r, all(0.240222424F));
  p = fma(p, r, all(0.693147004F));
  p = fma(p, r, all(1.0F));
  return mul(p, power_of_two(n));
}
