// The text that a loop over the fake model has to give: one token at a time, from the formula alone.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "fake_model.h"
#include "mtp_rt/acceptance.h"
#include "mtp_rt/sequence.h"

namespace mtp_rt::cuda {

using Tokens = std::vector<Token>;

inline std::int64_t hash_of(std::span<const Token> text) {
  std::int64_t hash = 0;
  for (std::size_t i = 0; i < text.size(); ++i)
    hash = testing::advance(hash, testing::code_of(text[i], static_cast<std::int64_t>(i)));
  return hash;
}

/// The first of the best tokens, of every `stride`-th one, behind what comes to `hash`; those of `generated`
/// have `penalty` less.
inline Token best(std::int64_t hash, std::int64_t stride = 1, std::span<const Token> generated = {},
                  float penalty = 0.0F) {
  Token chosen = 0;
  float highest = -1000.0F;
  for (std::int64_t token = 0; token < testing::kModelVocab; token += stride) {
    const bool is_there = std::ranges::count(generated, static_cast<Token>(token)) > 0;
    const float value = testing::score(hash, token) - (is_there ? penalty : 0.0F);
    if (value > highest) {
      highest = value;
      chosen = static_cast<Token>(token);
    }
  }
  return chosen;
}

/// A sequence that is decoded plainly, beside the loop's.
struct PlainText {
  Request request;
  Tokens text;

  [[nodiscard]] Token next(std::span<const Token> behind) const {
    Tokens all = text;
    all.insert(all.end(), behind.begin(), behind.end());
    const auto generated = std::span(all).subspan(request.prompt.size());
    return best(hash_of(all), 1, generated, request.params.presence_penalty);
  }

  [[nodiscard]] bool has_ended() const {
    const std::size_t generated = text.size() - request.prompt.size();
    return generated == static_cast<std::size_t>(request.max_tokens) ||
           text.size() == std::size_t{testing::kModelContext} ||
           (generated > 0 && std::ranges::count(request.stop_token_ids, text.back()) > 0);
  }

  /// Takes what a step with these drafts commits.
  [[nodiscard]] Tokens take(const DraftTree& tree, std::int32_t drafts) {
    Tokens taken;
    for (std::int32_t row = 0; row >= 0 && !has_ended();) {
      taken.push_back(next({}));
      text.push_back(taken.back());
      std::int32_t child = -1;
      for (std::int32_t i = 0; i < drafts; ++i) {
        const auto node = static_cast<std::size_t>(i);
        if (tree.parents[node] == row && tree.tokens[node] == taken.back()) child = i + 1;
      }
      row = child;
    }
    return taken;
  }

  /// What heads of these additions draft behind the text.
  [[nodiscard]] Tokens drafts(std::span<const std::int64_t> salts, std::int64_t stride) const {
    Tokens all = text;
    for (const std::int64_t salt : salts) all.push_back(best(hash_of(all) + salt, stride));
    return {all.begin() + static_cast<std::ptrdiff_t>(text.size()), all.end()};
  }

  /// The same of heads that see only the text without its last token.
  [[nodiscard]] Tokens drafts_at_once(std::int32_t depths, std::int64_t stride) const {
    const std::int64_t hash = hash_of(std::span(text).first(text.size() - 1));
    Tokens drafted;
    for (std::int64_t depth = 1; depth <= depths; ++depth) drafted.push_back(best(hash + 7 * depth, stride));
    return drafted;
  }
};

}  // namespace mtp_rt::cuda
