// The loop's parts one by one.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "base/math.h"
#include "decode/heads_source.h"
#include "decode/joined_drafts.h"
#include "decode/lookup_source.h"
#include "mtp_rt/acceptance.h"
#include "mtp_rt/sampling.h"
#include "sampling/filters.h"
#include "sampling/rank.h"
#include "sampling/score_row.h"
#include "sampling/token_score.h"
#include "testing/testing.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace mtp_rt::testing {
namespace {

using DraftNodes = std::tuple<std::vector<Token>, std::vector<std::int32_t>, std::vector<float>>;
using Logits = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

std::span<const float> span_of(const Logits& logits) { return {logits.data(), logits.size()}; }

template <typename Value, Value (*function)(Value)>
std::vector<Value> map(const std::vector<Value>& values) {
  std::vector<Value> results;
  for (const Value value : values) results.push_back(function(value));
  return results;
}

std::vector<bool> kept(const Logits& logits, const SamplingParams& params) {
  ScoreRow row;
  row.assign(span_of(logits), argmax(span_of(logits)).logit, params.temperature);
  const Cut cut = filter(row, params);
  std::vector<bool> result;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const float z = row.block(i / ScoreRow::kBlock)[i % ScoreRow::kBlock];
    result.push_back(cut.keeps({z, static_cast<Token>(i)}));
  }
  return result;
}

std::vector<double> noise(std::uint64_t seed, std::int64_t position, const std::vector<Token>& tokens) {
  std::vector<double> result;
  for (const Token token : tokens) result.push_back(gumbel(noise_word(seed, position, token)));
  return result;
}

std::vector<std::uint32_t> philox(const std::vector<std::uint32_t>& counter, std::uint64_t key) {
  const PhiloxBits bits = philox4x32({{counter.at(0), counter.at(1), counter.at(2), counter.at(3)}}, key);
  return {bits.lane, bits.lane + 4};
}

std::vector<Token> pick_many(const Logits& logits, const SamplingParams& params, std::int64_t first,
                             std::int32_t count) {
  std::vector<Token> picks;
  PickContext context;
  for (std::int32_t i = 0; i < count; ++i) {
    context.position = first + i;
    picks.push_back(pick(span_of(logits), context, params));
  }
  return picks;
}

std::pair<std::vector<Token>, std::vector<float>> ranked(const Logits& logits, const std::vector<Token>& ids,
                                                         const SamplingParams& params, std::int64_t position,
                                                         std::size_t width) {
  std::vector<Token> tokens(width);
  std::vector<float> chances(width);
  rank(span_of(logits), ids.empty() ? ScoredTokens() : ScoredTokens(ids), params, position, tokens, chances);
  return {std::move(tokens), std::move(chances)};
}

std::pair<std::vector<std::int32_t>, Token> accept_drafts(const std::vector<Token>& tokens,
                                                          const std::vector<std::int32_t>& parents,
                                                          const std::vector<Token>& picks) {
  Accepted accepted = accept({tokens, parents}, picks);
  return {std::move(accepted.rows), accepted.next};
}

std::vector<std::pair<std::vector<Token>, std::vector<float>>> lookup(const std::vector<Token>& tokens,
                                                                      const std::vector<std::size_t>& lengths,
                                                                      std::int32_t max_drafts) {
  LookupSource source;
  std::vector<std::pair<std::vector<Token>, std::vector<float>>> proposals;
  for (const std::size_t length : lengths) {
    Proposal proposal = source.propose(std::span(tokens).first(length), max_drafts, {});
    proposals.emplace_back(std::move(proposal.tree.tokens), std::move(proposal.chances));
  }
  return proposals;
}

/// Feeds one source of drafts as the loop does, with a width and drafts [depths * width] for each length.
std::vector<DraftNodes> head_trees(
    const std::vector<Token>& tokens, const std::vector<std::size_t>& lengths,
    const std::vector<std::tuple<std::int32_t, std::vector<Token>, std::vector<float>>>& drafts,
    std::int32_t heads, std::int32_t width, std::int32_t max_drafts) {
  HeadsSource source(heads, {}, width);
  std::vector<DraftNodes> proposals;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    const std::span<const Token> text = std::span(tokens).first(lengths[i]);
    static_cast<void>(source.prospects(text, max_drafts));
    const auto& [drafted_width, drafted, chances] = drafts.at(i);
    Proposal proposal = source.propose(text, max_drafts, {drafted_width, drafted, chances});
    proposals.emplace_back(std::move(proposal.tree.tokens), std::move(proposal.tree.parents),
                           std::move(proposal.chances));
  }
  return proposals;
}

std::pair<DraftNodes, bool> join_drafts(const DraftNodes& drafted, const DraftNodes& copied,
                                        std::int32_t most) {
  const auto proposal = [](const DraftNodes& nodes, std::string_view source) {
    const auto& [tokens, parents, chances] = nodes;
    return Proposal{{tokens, parents}, chances, source};
  };
  Proposal joined = join(proposal(drafted, "heads"), proposal(copied, "lookup"), most);
  return {{std::move(joined.tree.tokens), std::move(joined.tree.parents), std::move(joined.chances)},
          joined.source == "lookup"};
}

/// What a fresh source of the name asks of `heads` extra heads.
std::pair<std::vector<float>, std::vector<float>> first_prospects(const std::string& name,
                                                                  const std::vector<Token>& tokens,
                                                                  const std::vector<float>& acceptance,
                                                                  std::int32_t max_drafts) {
  EngineInfo info;
  info.extra_heads = static_cast<std::int32_t>(acceptance.size());
  info.acceptance = acceptance;
  const auto source = make_draft_source({.source = name, .max_drafts = max_drafts, .max_width = 1}, info);
  Prospects prospects = source->prospects(tokens, max_drafts);
  return {std::move(prospects.chances), std::move(prospects.others)};
}

}  // namespace

void bind_decode(nb::module_& module) {
  module.def("exp32", &map<float, math::exp>, "values"_a);
  module.def("exp64", &map<double, math::exp>, "values"_a);
  module.def("log64", &map<double, math::log>, "values"_a);
  module.def("sin64", &map<double, math::sin>, "values"_a);
  module.def("cos64", &map<double, math::cos>, "values"_a);
  module.def("kept", &kept, "logits"_a, "params"_a, "Which tokens top-k, top-p and min-p leave.");
  module.def("philox", &philox, "counter"_a, "key"_a, "Philox4x32-10 of a counter of four words.");
  module.def("noise", &noise, "seed"_a, "position"_a, "tokens"_a, "Gumbel noise of each token.");
  module.def("pick_many", &pick_many, "logits"_a, "params"_a, "first"_a, "count"_a,
             "Picks at successive positions.");
  module.def(
      "rank", &ranked, "logits"_a, "ids"_a, "params"_a, "position"_a, "width"_a,
      "(tokens, chances) of the entries likeliest to be picked; ids: their tokens, all of them if empty.");
  module.def("accept", &accept_drafts, "tokens"_a, "parents"_a, "picks"_a, "(rows kept, next token).");
  module.def("lookup", &lookup, "tokens"_a, "lengths"_a, "max_drafts"_a,
             "What one lookup source proposes (tokens, chances) after each of the given lengths.");
  module.def(
      "head_trees", &head_trees, "tokens"_a, "lengths"_a, "drafts"_a, "heads"_a, "width"_a, "max_drafts"_a,
      "What one source of the heads' drafts proposes (tokens, parents, chances) after each of the given\n"
      "lengths, given what the heads draft there: (width, tokens, chances) [depths * width].");
  module.def(
      "join_drafts", &join_drafts, "drafted"_a, "copied"_a, "most"_a,
      "The tree of two proposals (tokens, parents, chances), and whether its first node is copied alone.");
  module.def("first_prospects", &first_prospects, "source"_a, "tokens"_a, "acceptance"_a, "max_drafts"_a,
             "(chances of the heads, chances of nodes without them) as a new source sees them.");
  module.def(
      "logprobs",
      [](const Logits& logits, Token chosen, std::int32_t top) {
        std::vector<std::tuple<Token, float, std::int32_t>> entries;
        for (const TokenLogprob& entry : logprobs(span_of(logits), chosen, top)) {
          entries.emplace_back(entry.token, entry.logprob, entry.rank);
        }
        return entries;
      },
      "logits"_a, "chosen"_a, "top"_a, "(token, logprob, rank) of the chosen token, then of the likeliest.");
}

}  // namespace mtp_rt::testing
