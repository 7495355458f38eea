// The one place where a token is chosen.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "mtp_rt/token.h"

namespace mtp_rt {

/// How a token is drawn. Names and meanings are vLLM's.
struct SamplingParams {
  float temperature = 0.0F;         // [0, 100]; 0: the most likely token
  float top_p = 1.0F;               // (0, 1]
  std::int32_t top_k = 0;           // 0: all
  float min_p = 0.0F;               // [0, 1]
  float presence_penalty = 0.0F;    // [-2, 2]
  float frequency_penalty = 0.0F;   // [-2, 2]
  float repetition_penalty = 1.0F;  // (0, 2]; 1: off
  std::uint64_t seed = 0;
  std::vector<std::pair<Token, float>> logit_bias;
};

/// Throws ArgumentError naming the first field out of range (NaN included) or a biased id >= vocab_size.
void check(const SamplingParams& params, std::int32_t vocab_size);

/// How often a token stands before the row: in the prompt, and in what was generated (drafts of this row
/// included).
struct TokenCount {
  Token token = 0;
  std::int32_t in_prompt = 0;
  std::int32_t generated = 0;
};

/// What pick() may look at besides the logits.
struct PickContext {
  std::span<const TokenCount> counts;      // one entry per distinct token, any order
  std::span<const std::uint32_t> allowed;  // bit i of word i / 32: token i may be chosen; empty: all may
  std::int64_t position = 0;               // absolute index of the token being chosen
};

/// The token that the model itself chooses after a row with these logits [vocab].
///
/// Order: penalties, bias, mask, temperature, top-k, softmax, top-p, min-p, then argmax of log-probability
/// plus Gumbel noise keyed by (seed, position, id). Pure: the same arguments give the same token on every
/// machine. Throws EngineError if a logit is NaN or +infinity or no token is allowed, ArgumentError on an id
/// outside the vocabulary.
[[nodiscard]] Token pick(std::span<const float> logits, const PickContext& context,
                         const SamplingParams& params);

struct TokenLogprob {
  Token token = 0;
  float logprob = 0.0F;   // natural logarithm, of the raw logits' softmax
  std::int32_t rank = 0;  // 1: the most likely
};

/// Log-probabilities of `chosen` (first entry) and of the `top` most likely tokens, of the raw logits.
[[nodiscard]] std::vector<TokenLogprob> logprobs(std::span<const float> logits, Token chosen,
                                                 std::int32_t top);

}  // namespace mtp_rt
