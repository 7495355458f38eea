// What a pick needs to know, as plain data that kernels take.
#pragma once

#include <cstdint>

#include "base/host_device.h"
#include "mtp_rt/sampling.h"
#include "mtp_rt/token.h"

namespace mtp_rt::cuda {

/// SamplingParams without its list.
struct PickParams {
  float temperature = 0.0F;
  float top_p = 1.0F;
  float min_p = 0.0F;
  float presence_penalty = 0.0F;
  float frequency_penalty = 0.0F;
  float repetition_penalty = 1.0F;
  std::int32_t top_k = 0;
  std::uint64_t seed = 0;
};

[[nodiscard]] inline PickParams pick_params(const SamplingParams& params) {
  return {params.temperature,
          params.top_p,
          params.min_p,
          params.presence_penalty,
          params.frequency_penalty,
          params.repetition_penalty,
          params.top_k,
          params.seed};
}

/// How often a token stands in a sequence: in its prompt, and in what was generated.
struct Tally {
  std::int32_t in_prompt = 0;
  std::int32_t generated = 0;
};

/// A token's addition to its logit.
struct Bias {
  Token token = 0;
  float value = 0.0F;
};

/// One row and all that its pick depends on.
struct PickRow {
  const float* logits = nullptr;  // [vocab]
  float* scratch = nullptr;       // [vocab], used where the logits are changed first
  std::int32_t vocab = 0;         // at most kMaxVocab
  const Token* ids = nullptr;     // [vocab] tokens of the entries, ascending; null: the entries' own indices
  std::int64_t position = 0;      // absolute index of the token being chosen
  const Tally* counts = nullptr;  // [vocab] of the committed tokens; null: without penalties
  const Token* path = nullptr;    // [path_size] drafts that the row follows; they count as generated
  std::int32_t path_size = 0;
  const Bias* bias =
      nullptr;  // [bias_size], those of one token together, in the order in which they are added
  std::int32_t bias_size = 0;
  const Token* forbidden = nullptr;  // [forbidden_size]
  std::int32_t forbidden_size = 0;
  const std::uint32_t* allowed = nullptr;  // bit i of word i / 32: entry i may be chosen; null: all may
};

/// Sums of mass(z) are exact in any order up to here (token_score.h).
inline constexpr std::int32_t kMaxVocab = 1 << 20;

/// Picks that are no tokens: a logit is NaN or +infinity; no token is allowed.
inline constexpr Token kBrokenRow = -1;
inline constexpr Token kNothingAllowed = -2;

}  // namespace mtp_rt::cuda
