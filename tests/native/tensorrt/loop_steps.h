// Steps of a loop over the fake model, and what they have to give.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "expect.h"
#include "loop_text.h"
#include "mtp_rt/device_loop.h"

namespace mtp_rt::cuda {

using Random = std::minstd_rand;

/// The same numbers in every run.
inline Random seeded(std::uint32_t seed) { return Random(seed); }

inline std::string text_of(const Tokens& tokens) {
  std::string text;
  for (const Token token : tokens) text += " " + std::to_string(token);
  return text;
}

inline void expect_tokens(const Tokens& found, const Tokens& wanted, const std::string& what) {
  expect(found == wanted, what + ":" + text_of(found) + ", wanted" + text_of(wanted));
}

/// A tree in which `right` of 8 nodes hold what the text goes on with behind their parent; siblings differ.
inline DraftTree make_tree(const PlainText& plain, std::int32_t nodes, std::uint32_t right, bool is_chain,
                           Random& random) {
  DraftTree tree;
  std::vector<Tokens> paths{{}};
  for (std::int32_t i = 0; i < nodes; ++i) {
    const auto parent =
        is_chain ? i : static_cast<std::int32_t>(random() % static_cast<std::uint32_t>(i + 1));
    Tokens path = paths[static_cast<std::size_t>(parent)];
    Token token = random() % 8 < right ? plain.next(path) : static_cast<Token>(random() % 12);
    const auto is_taken = [&] {
      for (std::size_t k = 0; k < tree.tokens.size(); ++k) {
        if (tree.parents[k] == parent && tree.tokens[k] == token) return true;
      }
      return false;
    };
    while (is_taken()) token = (token + 1) % 12;
    path.push_back(token);
    paths.push_back(path);
    tree.tokens.push_back(token);
    tree.parents.push_back(parent);
  }
  return tree;
}

/// Tokens accepted of what a step took: all but the last, unless the last was a draft, too.
inline void check_step(const LoopResult& found, PlainText& plain, const DraftTree& tree, std::int32_t drafts,
                       const std::string& what) {
  const Tokens wanted = plain.take(tree, drafts);
  expect_tokens(found.tokens, wanted, what);
  expect(!found.error, what + ": an error");
  std::int32_t row = 0;
  std::int32_t accepted = 0;
  for (const Token token : wanted) {
    std::int32_t child = 0;
    for (std::int32_t i = 0; i < drafts; ++i) {
      const auto node = static_cast<std::size_t>(i);
      if (tree.parents[node] == row && tree.tokens[node] == token) child = i + 1;
    }
    if (child == 0) break;
    row = child;
    ++accepted;
  }
  expect(found.accepted == accepted,
         what + ": accepted " + std::to_string(found.accepted) + ", wanted " + std::to_string(accepted));
}

}  // namespace mtp_rt::cuda
