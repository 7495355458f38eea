#include "decode/joined_drafts.h"

#include <algorithm>
#include <cstddef>
#include <vector>

namespace mtp_rt {
namespace {

// How often two wrong opinions name the same token.
constexpr double kSameMistake = 0.1;

struct Node {
  Token token = 0;
  std::size_t row = 0;     // 1 + its index here
  std::size_t parent = 0;  // row
  double chance = 1.0;
  bool copied = false;  // alone
};

/// A token that one source or both name for a place.
struct Outcome {
  Token token = 0;
  std::size_t drafted = 0;  // row in the heads' tree; 0: they do not name it
  bool copied = false;
  double worth = 0.0;  // what both give it, multiplied
};

class Joint {
 public:
  Joint(const Proposal& drafted, const Proposal& copied) : drafted_(drafted), copied_(copied) {
    follow_both(0, 0, {});
  }

  [[nodiscard]] std::vector<Node> nodes() && { return std::move(nodes_); }

 private:
  static double chance_of(const Proposal& proposal, std::size_t row) {
    return row == 0 ? 1.0 : static_cast<double>(proposal.chances[row - 1]);
  }

  /// Given that what the row's node follows stands.
  static double chance_behind(const Proposal& proposal, std::size_t row) {
    const double parent = chance_of(proposal, static_cast<std::size_t>(proposal.tree.parents[row - 1]));
    return parent > 0.0 ? chance_of(proposal, row) / parent : 0.0;
  }

  [[nodiscard]] std::vector<std::size_t> children(std::size_t row) const {
    std::vector<std::size_t> rows;
    for (std::size_t i = 0; i < drafted_.tree.parents.size(); ++i) {
      if (drafted_.tree.parents[i] == static_cast<std::int32_t>(row)) rows.push_back(i + 1);
    }
    return rows;
  }

  Node add(Token token, const Node& parent, double chance, bool copied) {
    return nodes_.emplace_back(Node{token, nodes_.size() + 1, parent.row, chance, copied});
  }

  /// The outcomes behind rows of both proposals; their worths sum to the chance that any of them is right.
  [[nodiscard]] std::vector<Outcome> outcomes(std::size_t drafted, std::size_t copied) const {
    const bool copies = copied < copied_.tree.tokens.size();
    const double copy = copies ? chance_behind(copied_, copied + 1) : 0.0;
    std::vector<Outcome> found;
    double unnamed = 1.0;  // chance that none of the heads' candidates is right, as they see it
    bool agree = false;
    for (const std::size_t row : children(drafted)) {
      const Token token = drafted_.tree.tokens[row - 1];
      const double chance = chance_behind(drafted_, row);
      const bool same = copies && !agree && token == copied_.tree.tokens[copied];
      found.push_back({token, row, same, chance * (same ? copy / kSameMistake : 1.0 - copy)});
      unnamed -= chance;
      agree = agree || same;
    }
    unnamed = std::max(0.0, unnamed);
    if (copies && !agree) found.push_back({copied_.tree.tokens[copied], 0, true, unnamed * copy});
    double total = unnamed * (1.0 - copy);
    for (const Outcome& outcome : found) total += outcome.worth;
    for (Outcome& outcome : found) outcome.worth = total > 0.0 ? outcome.worth / total : 0.0;
    return found;
  }

  /// Adds what comes behind `at`, where both sources stand: the heads in row `drafted` of their tree, the
  /// copy in row `copied` of its chain.
  void follow_both(std::size_t drafted, std::size_t copied, const Node& at) {
    for (const Outcome& outcome : outcomes(drafted, copied)) {
      const bool alone = outcome.drafted == 0;
      const Node node = add(outcome.token, at, at.chance * outcome.worth, alone);
      if (alone) {
        follow_copy(copied + 1, node);
      } else if (outcome.copied) {
        follow_both(outcome.drafted, copied + 1, node);
      } else {
        follow_heads(outcome.drafted, node);
      }
    }
  }

  void follow_heads(std::size_t drafted, const Node& at) {
    for (const std::size_t row : children(drafted)) {
      const double chance = at.chance * chance_behind(drafted_, row);
      follow_heads(row, add(drafted_.tree.tokens[row - 1], at, chance, false));
    }
  }

  void follow_copy(std::size_t copied, Node at) {
    for (std::size_t i = copied; i < copied_.tree.tokens.size(); ++i) {
      at = add(copied_.tree.tokens[i], at, at.chance * chance_behind(copied_, i + 1), true);
    }
  }

  const Proposal& drafted_;
  const Proposal& copied_;
  std::vector<Node> nodes_;
};

}  // namespace

Proposal join(const Proposal& drafted, const Proposal& copied, std::int32_t most) {
  std::vector<Node> nodes = Joint(drafted, copied).nodes();
  // No node is likelier than its parent, which comes before it, so parents stay before their children.
  std::ranges::stable_sort(nodes, [](const Node& a, const Node& b) { return a.chance > b.chance; });
  std::vector<std::int32_t> row_of(nodes.size() + 1, 0);
  nodes.resize(std::min(nodes.size(), static_cast<std::size_t>(most)));
  Proposal proposal;
  proposal.source = !nodes.empty() && nodes.front().copied ? copied.source : drafted.source;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    row_of[nodes[i].row] = static_cast<std::int32_t>(i) + 1;
    proposal.tree.tokens.push_back(nodes[i].token);
    proposal.tree.parents.push_back(row_of[nodes[i].parent]);
    proposal.chances.push_back(static_cast<float>(nodes[i].chance));
  }
  return proposal;
}

}  // namespace mtp_rt
