#include <algorithm>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "mtp_rt/error.h"
#include "mtp_rt/sampling.h"
#include "sampling/filters.h"
#include "sampling/noisy_order.h"
#include "sampling/score_row.h"
#include "sampling/token_score.h"

namespace mtp_rt {
namespace {

const ScoredTokens kAllTokens;

/// Buffers of the vocabulary's size, kept from call to call.
struct Workspace {
  std::vector<float> logits;
  ScoreRow row;
};

bool changes_logits(const PickContext& context, const SamplingParams& params) {
  return (has_penalties(params) && !context.counts.empty()) || !params.logit_bias.empty() ||
         !context.allowed.empty();
}

float& entry(std::vector<float>& logits, Token token, const char* argument) {
  if (token < 0 || static_cast<std::size_t>(token) >= logits.size()) {
    throw ArgumentError(std::string(argument) + ": token " + std::to_string(token) +
                        " is outside the vocabulary of " + std::to_string(logits.size()));
  }
  return logits[static_cast<std::size_t>(token)];
}

void apply_mask(std::span<const std::uint32_t> allowed, std::vector<float>& logits) {
  if (allowed.size() * 32 < logits.size()) {
    throw ArgumentError("allowed: " + std::to_string(allowed.size()) + " words of 32 do not cover " +
                        std::to_string(logits.size()) + " tokens");
  }
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if ((allowed[i / 32] >> (i % 32) & 1U) == 0) logits[i] = -std::numeric_limits<float>::infinity();
  }
}

/// Penalties, bias, mask.
void adjust(std::span<const float> logits, const PickContext& context, const SamplingParams& params,
            std::vector<float>& adjusted) {
  adjusted.assign(logits.begin(), logits.end());
  for (const TokenCount& count : context.counts) {
    float& logit = entry(adjusted, count.token, "counts");
    logit = penalised(logit, count.in_prompt, count.generated, params.repetition_penalty,
                      params.frequency_penalty, params.presence_penalty);
  }
  for (const auto& [token, bias] : params.logit_bias) entry(adjusted, token, "logit_bias") += bias;
  if (!context.allowed.empty()) apply_mask(context.allowed, adjusted);
}

}  // namespace

Token pick(std::span<const float> logits, const PickContext& context, const SamplingParams& params) {
  static thread_local Workspace workspace;
  if (changes_logits(context, params)) {
    adjust(logits, context, params, workspace.logits);
    logits = workspace.logits;
  }
  const Best best = argmax(logits);
  if (params.temperature == 0.0F) return best.token;
  workspace.row.assign(logits, best.logit, params.temperature);
  const Cut cut = filter(workspace.row, params);
  NoisyOrder<1> order(workspace.row, cut, kAllTokens, params.seed, context.position);
  return static_cast<Token>(order.find(static_cast<std::size_t>(best.token)).front().index);
}

}  // namespace mtp_rt
