#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "decode/filters.h"
#include "decode/row_loops.h"
#include "decode/score_row.h"
#include "decode/token_score.h"
#include "mtp_rt/error.h"
#include "mtp_rt/sampling.h"

namespace mtp_rt {
namespace {

/// Buffers of the vocabulary's size, kept from call to call.
struct Workspace {
  std::vector<float> logits;
  ScoreRow row;
};

bool changes_logits(const PickContext& context, const SamplingParams& params) {
  const bool penalties = params.presence_penalty != 0.0F || params.frequency_penalty != 0.0F ||
                         params.repetition_penalty != 1.0F;
  return (penalties && !context.counts.empty()) || !params.logit_bias.empty() || !context.allowed.empty();
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

/// Finds the kept entry with the highest z + noise, computing the noise only where it can still decide.
class NoisyArgmax {
 public:
  NoisyArgmax(const ScoreRow& row, const Cut& cut, std::uint64_t seed, std::int64_t position)
      : row_(row), cut_(cut), seed_(seed), position_(position) {}

  /// `likely` is the best token, whose z is 0: a high score to begin with makes the search short.
  Token find(Token likely) {
    visit({0.0F, likely}, noise_word(seed_, position_, likely));
    for (std::size_t b = 0; b < row_.blocks(); ++b) visit_block(b);
    return token_;
  }

 private:
  static constexpr double kMaxNoise = 22.9;

  void visit_block(std::size_t block) {
    const float top = row_.block_max(block);
    if (top < cut_.last.z || static_cast<double>(top) + kMaxNoise < score_) return;
    noise_words(seed_, position_, block, words_.data());
    // -log(-log(u)) <= -log(1 - u): where even the block's best entry cannot reach the score with a word,
    // none can.
    const float reach = math::exp(std::min(top - static_cast<float>(score_), 0.0F));
    const auto least =
        static_cast<std::uint32_t>(std::max(0.0, (1.0 - static_cast<double>(reach) * 1.0001) * 0x1p32 - 2.0));
    std::uint32_t hits = 0;
    for (const std::uint32_t word : words_) hits += word >= least ? 1 : 0;
    if (hits == 0) return;
    const float* z = row_.block(block);
    for (std::size_t i = 0; i < ScoreRow::kBlock; ++i) {
      if (words_[i] >= least) visit({z[i], static_cast<Token>(block * ScoreRow::kBlock + i)}, words_[i]);
    }
  }

  void visit(Scored candidate, std::uint32_t bits) {
    if (!cut_.keeps(candidate)) return;
    const double score = static_cast<double>(candidate.z) + gumbel(bits);
    if (score > score_ || (score == score_ && candidate.token < token_)) {
      score_ = score;
      token_ = candidate.token;
    }
  }

  const ScoreRow& row_;
  const Cut& cut_;
  std::uint64_t seed_;
  std::int64_t position_;
  std::array<std::uint32_t, ScoreRow::kBlock> words_;
  double score_ = -std::numeric_limits<double>::infinity();
  Token token_ = std::numeric_limits<Token>::max();
};

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
  return NoisyArgmax(workspace.row, cut, params.seed, context.position).find(best.token);
}

}  // namespace mtp_rt
