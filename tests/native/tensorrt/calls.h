// Calls of the plans of fake_tensorrt.h, and what they are expected to do.
#pragma once

#include <algorithm>
#include <cstdint>
#include <exception>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engines/cuda/plans.h"
#include "expect.h"
#include "fake_tensorrt.h"
#include "tensorrt/caches.h"

namespace mtp_rt::cuda {

using testing::fake_plan;
using testing::kHeadDim;
using testing::kHeads;
using testing::kPlaces;
using testing::kVocab;

inline constexpr PlanCacheShape kShape{2, 3, kHeads, kPlaces, kHeadDim};
inline const std::vector<PlanCacheNames> kCaches{{"past_0", "present_0"}, {"past_1", "present_1"}};

/// The message must begin as `words` does, hold the rest of it and be printable.
template <typename Kind, typename Act>
void expect_error(const std::string& begin, const std::string& words, Act&& act) {
  try {
    act();
    expect(false, "nothing was thrown, expected " + begin + " ... " + words);
  } catch (const Kind& error) {
    const std::string text = error.what();
    const bool printable = std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; });
    expect(text.starts_with(begin) && text.find(words) != std::string::npos && printable, text);
  } catch (const std::exception& error) {
    expect(false, std::string("of another kind: ") + error.what());
  }
}

inline std::span<const std::byte> plan_bytes(const char* text) {
  return std::as_bytes(std::span(std::string_view(text)));
}

inline std::unique_ptr<Plan> open(PlanDevice& device, const std::vector<PlanCacheNames>& caches = kCaches) {
  return device.open_plan("verify.64.engine", plan_bytes("plan"), caches);
}

/// A call of tokens [batch, width] = 1, 2, 3, ...
struct Call {
  Call(PlanCaches* memory, std::int64_t batch, std::int64_t width)
      : tokens(static_cast<std::size_t>(batch * width)),
        logits(tokens.size() * kVocab),
        tokens_shape{batch, width},
        wide_shape{batch},
        wide(static_cast<std::size_t>(batch)) {
    for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<std::int64_t>(i) + 1;
    inputs.push_back({tokens_name, tokens_shape, tokens.data()});
    inputs.push_back({wide_name, wide_shape, wide.data()});
    outputs.push_back({logits_name, std::as_writable_bytes(std::span(logits))});
    call = {0, {}, {}, memory, 0, static_cast<std::int32_t>(batch)};
  }

  void run(Plan& plan) {
    call.inputs = inputs;
    call.outputs = outputs;
    plan.run(call);
  }

  void check(const std::string& what) const {
    for (std::size_t i = 0; i < logits.size(); ++i) {
      const auto wanted =
          static_cast<float>(10 * (i / kVocab + 1) + i % kVocab) + 1000.0F * static_cast<float>(call.profile);
      if (logits[i] != wanted) return expect(false, what + ": logit " + std::to_string(i));
    }
  }

  const std::string tokens_name = "tokens";
  const std::string wide_name = "wide";
  const std::string logits_name = "logits";
  std::vector<std::int64_t> tokens;
  std::vector<float> logits;
  std::vector<std::int64_t> tokens_shape;
  std::vector<std::int64_t> wide_shape;
  std::vector<std::uint8_t> wide;
  std::vector<PlanInput> inputs;
  std::vector<PlanOutput> outputs;
  PlanCall call;
};

inline std::uint16_t& cache_value(PlanCaches& caches, std::size_t matrix, Slot slot, std::int64_t head,
                                  std::int64_t place) {
  auto* values = static_cast<std::uint16_t*>(dynamic_cast<DeviceCaches&>(caches).at(matrix, slot));
  return values[(head * kPlaces + place) * kHeadDim];
}

// Of failures.cpp.
void check_refused_plans(PlanDevice& device);
void check_memory(PlanDevice& device);
void check_failing_calls(PlanDevice& device);

}  // namespace mtp_rt::cuda
