// Requests at random and their decoding on the host, for the test of the CUDA kernels.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <random>
#include <span>
#include <vector>

#include "decode/token_counts.h"
#include "mtp_rt/acceptance.h"
#include "mtp_rt/sequence.h"

namespace mtp_rt::cuda {

inline constexpr std::int32_t kWidth = 6;
inline constexpr std::int32_t kContext = 256;

using Random = std::mt19937;

inline constexpr float kNothing = -std::numeric_limits<float>::infinity();

inline std::int32_t below(Random& random, std::size_t limit) {
  return static_cast<std::int32_t>(random() % limit);
}

/// A row of one of several characters: plain, tied, masked, equal, subnormal.
inline void fill_row(std::span<float> row, Random& random) {
  std::normal_distribution<float> normal(0.0F, 3.0F);
  const int kind = below(random, 5);
  for (float& x : row) {
    x = normal(random);
    if (kind == 1) x = std::round(x);
    if (kind == 2 && random() % 2 == 0) x = kNothing;
    if (kind == 3) x = -2.5F;
    if (kind == 4) x *= 1e-40F;
  }
  row[random() % row.size()] = kind == 3 ? -2.5F : 1.0F;
}

template <typename Value>
Value any_of(Random& random, std::initializer_list<Value> values) {
  return values.begin()[random() % values.size()];
}

inline Request make_request(std::int32_t vocab, Random& random) {
  Request request;
  for (std::int32_t i = below(random, 9); i >= 0; --i) request.prompt.push_back(below(random, vocab));
  SamplingParams& params = request.params;
  params.temperature = any_of(random, {0.0F, 1e-40F, 0.3F, 1.0F, 100.0F});
  params.top_p = any_of(random, {1.0F, 0.95F, 0.5F, 1e-6F});
  params.top_k = any_of(random, {0, 1, 40, 5000});
  params.min_p = any_of(random, {0.0F, 0.05F});
  if (random() % 2 == 0) {
    params.presence_penalty = 0.5F;
    params.frequency_penalty = any_of(random, {0.0F, 0.3F});
    params.repetition_penalty = any_of(random, {1.0F, 1.3F});
    params.logit_bias = {{below(random, vocab), 2.0F}, {below(random, vocab), -3.0F}};
  }
  params.seed = random();
  request.max_tokens = 1 + below(random, 60);
  request.min_tokens = any_of(random, {0, 5});
  request.stop_token_ids = {below(random, vocab)};
  return request;
}

/// A sequence as the host decodes it.
struct Expected {
  Request request;
  std::vector<Token> text;
  bool ended = false;

  /// What the host picks behind a row of a tree.
  [[nodiscard]] Token pick_behind(const DraftTree& tree, std::int32_t row,
                                  std::span<const float> logits) const {
    TokenCounts counts(request.prompt);
    for (const Token token : std::span(text).subspan(request.prompt.size())) counts.add(token);
    PickContext context;
    context.position = static_cast<std::int64_t>(text.size());
    for (std::int32_t r = row; r > 0; r = tree.parents[static_cast<std::size_t>(r) - 1], ++context.position) {
      counts.add(tree.tokens[static_cast<std::size_t>(r) - 1]);
    }
    std::vector<std::uint32_t> allowed((logits.size() + 31) / 32, ~0U);
    if (context.position - static_cast<std::int64_t>(request.prompt.size()) < request.min_tokens) {
      for (const Token stop : request.stop_token_ids) {
        allowed[static_cast<std::size_t>(stop) / 32] &= ~(1U << (stop % 32));
      }
    }
    context.counts = counts.entries();
    context.allowed = allowed;
    return pick(logits, context, request.params);
  }

  /// Adds the picks along the accepted path as plain decoding would, and returns them.
  std::vector<Token> take(const DraftTree& tree, std::span<const Token> picks) {
    std::vector<Token> taken;
    for (const std::int32_t row : accept(tree, picks).rows) {
      if (ended) break;
      taken.push_back(picks[static_cast<std::size_t>(row)]);
      text.push_back(taken.back());
      const auto generated = static_cast<std::int32_t>(text.size() - request.prompt.size());
      ended = generated == request.max_tokens || text.size() == kContext ||
              std::ranges::count(request.stop_token_ids, text.back()) > 0;
    }
    return taken;
  }
};

/// Fills the scores of a tree's rows and returns the host's picks. About half of the drafts become right: a
/// row's pick becomes the token of its first child, whose own row comes later.
inline std::vector<Token> make_step(const Expected& sequence, DraftTree& tree, std::span<float> logits,
                                    Random& random) {
  const std::size_t vocab = logits.size() / kWidth;
  for (std::int32_t i = below(random, kWidth); i > 0; --i) {
    tree.parents.push_back(below(random, tree.tokens.size() + 1));
    tree.tokens.push_back(below(random, vocab));
  }
  std::vector<Token> picks;
  for (std::size_t row = 0; row <= tree.tokens.size(); ++row) {
    const std::span<float> scores = logits.subspan(row * vocab, vocab);
    fill_row(scores, random);
    picks.push_back(sequence.pick_behind(tree, static_cast<std::int32_t>(row), scores));
    const auto child = std::ranges::find(tree.parents, static_cast<std::int32_t>(row));
    if (child == tree.parents.end() || random() % 4 == 0) continue;
    tree.tokens[static_cast<std::size_t>(child - tree.parents.begin())] = picks.back();
  }
  return picks;
}

}  // namespace mtp_rt::cuda
