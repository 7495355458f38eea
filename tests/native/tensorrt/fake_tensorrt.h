// A TensorRT that computes little, on the fake GPU, and fails when told to.
#pragma once

#include <NvInferRuntime.h>

#include <cstdint>
#include <string>
#include <vector>

namespace mtp_rt::testing {

inline constexpr std::int64_t kVocab = 4;
inline constexpr std::int64_t kHeads = 2;
inline constexpr std::int64_t kPlaces = 16;
inline constexpr std::int64_t kHeadDim = 8;

struct FakeTensor {
  std::string name;
  bool is_input = true;
  nvinfer1::DataType type = nvinfer1::DataType::kINT64;
  std::vector<std::int64_t> shape;
  bool decides_shapes = false;
};

/// What the next plan that opens is like, and what fails.
///
/// A call of B sequences of W rows computes logits [B, W, kVocab] = 10 tokens + index + 1000 profile, and
/// adds tokens[b, 0] to places 0 of present; states are written with zeros.
struct FakePlan {
  std::vector<FakeTensor> tensors;
  std::int32_t profiles = 2;
  std::int64_t scratch = 512;
  std::uint64_t weights = 1000;  // bytes that opening asks the allocator for
  std::int64_t present_heads = kHeads;
  bool refuses_shapes = false;
  bool fails = false;              // enqueueV3
  bool grumbles = false;           // it says an error and does not fail
  std::int32_t contexts_made = 0;  // counted
};

/// Inputs tokens [B, W], wide [B] (bool), past_0, past_1; outputs logits, states, present_0, present_1.
[[nodiscard]] FakePlan usual_plan();

/// Set before a plan is opened; what fails and what is counted may be looked at and changed at any time.
[[nodiscard]] FakePlan& fake_plan();

}  // namespace mtp_rt::testing
