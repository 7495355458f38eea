#include <cmath>
#include <sstream>
#include <string>

#include "mtp_rt/error.h"
#include "mtp_rt/sampling.h"

namespace mtp_rt {
namespace {

/// An interval with its printed form; `open_low` excludes the lower end.
struct Range {
  float low;
  float high;
  const char* text;
  bool open_low = false;
};

void check_field(const char* field, float value, const Range& range) {
  const bool low_enough = range.open_low ? value > range.low : value >= range.low;
  if (low_enough && value <= range.high) return;  // false for NaN
  std::ostringstream message;
  message << field << ": " << value << " is outside " << range.text;
  throw ArgumentError(message.str());
}

}  // namespace

void check(const SamplingParams& params, std::int32_t vocab_size) {
  constexpr Range kPenalty{-2.0F, 2.0F, "[-2, 2]"};
  check_field("temperature", params.temperature, {0.0F, 100.0F, "[0, 100]"});
  check_field("top_p", params.top_p, {0.0F, 1.0F, "(0, 1]", true});
  check_field("min_p", params.min_p, {0.0F, 1.0F, "[0, 1]"});
  check_field("presence_penalty", params.presence_penalty, kPenalty);
  check_field("frequency_penalty", params.frequency_penalty, kPenalty);
  check_field("repetition_penalty", params.repetition_penalty, {0.0F, 2.0F, "(0, 2]", true});
  if (params.top_k < 0) {
    throw ArgumentError("top_k: " + std::to_string(params.top_k) + " is negative; 0 keeps all tokens");
  }
  for (const auto& [token, bias] : params.logit_bias) {
    if (token < 0 || token >= vocab_size) {
      throw ArgumentError("logit_bias: token " + std::to_string(token) + " is outside the vocabulary of " +
                          std::to_string(vocab_size));
    }
    if (!std::isfinite(bias)) {
      throw ArgumentError("logit_bias: the bias of token " + std::to_string(token) + " is not finite");
    }
  }
}

}  // namespace mtp_rt
