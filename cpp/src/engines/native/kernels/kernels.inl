// The list of kernels. Included by every instruction set's file after its lanes.

#include "lane_math.inl"

#include "attention.inl"
#include "dot.inl"
#include "fold.inl"
#include "rows.inl"

consteval KernelTable make_table(const char* name) {
  return {
      .name = name,
      .dot_q4 = dot_unit<DotQ4>,
      .dot_q8 = dot_unit<DotQ8>,
      .dot_q8_coarse = dot_unit<DotQ8Coarse>,
      .dot_bf16 = dot_unit<DotFloat<LoadBf16>>,
      .dot_f32 = dot_unit<DotFloat<LoadF32>>,
      .quantize = quantize,
      .add_residual = add_residual,
      .swiglu = swiglu,
      .rotate = rotate,
      .mix = mix,
      .attend_f32 = attend<AttendF32>,
      .attend_q8 = attend<AttendQ8>,
      .softmax = softmax<exp>,
      .fold = fold,
      .store_scores = store_scores,
  };
}
