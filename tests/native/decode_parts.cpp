// The parts of a step on random input, under ASan and UBSan: row plans keep their limits and follow the
// costs, picks are tokens that may be chosen, lookup drafts are tokens of the text.
//
//     decode_parts [ROUNDS] [SEED]
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <limits>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "decode/lookup_source.h"
#include "decode/row_plan.h"
#include "decode/running_costs.h"
#include "mtp_rt/sampling.h"
#include "mtp_rt/sequence.h"
#include "testing/scripted_source.h"

namespace {

using namespace mtp_rt;

void demand(bool promise, const char* what) {
  if (!promise) throw std::logic_error(what);
}

EngineInfo fake_info() {
  EngineInfo info;
  info.slots = 8;
  info.context = 64;
  info.max_rows = 32;
  info.vocab_size = 50;
  return info;
}

/// A sequence that has generated a token and holds `drafts` scripted ones.
Sequence decoding(std::int32_t drafts, double acceptance, bool adaptive) {
  Request request;
  request.prompt = {1, 2};
  request.drafts.max_drafts = drafts;
  request.drafts.adaptive = adaptive;
  const std::vector<Token> reference(40, 3);
  request.draft_source = std::make_shared<testing::ScriptedSource>(reference, acceptance, false, 1, 50);
  Sequence sequence(std::move(request), fake_info(), 0, Clock::now());
  const std::vector<Token> first = {3};
  sequence.commit(first, 0, 0, Clock::now());
  static_cast<void>(sequence.prospects());
  sequence.draft({});
  return sequence;
}

Sequence reading(std::size_t prompt) {
  Request request;
  request.prompt.assign(prompt, 5);
  return Sequence(std::move(request), fake_info(), 0, Clock::now());
}

void check_costs() {
  const RunningCosts costs(std::vector<double>{2.0, 1.9, 3.0}, 5);
  const std::span<const double> times = costs.expected();
  demand(times.size() == 5 && times[0] == 2.0 && times[1] == 2.0 && times[2] == 3.0,
         "a cost falls with the rows or is not the measured one");
  demand(std::abs(times[4] - 5.0) < 1e-12, "wider calls do not continue the slope");
  demand(RunningCosts(std::vector<double>{2.0}, 3).expected()[2] == 6.0,
         "one time does not mean a proportional cost");
  demand(RunningCosts().expected().empty(), "costs of which nothing is known");
}

/// Calls of any width and time leave finite costs that do not fall with the rows.
void check_observed_costs(std::mt19937_64& random) {
  RunningCosts costs(std::vector<double>{1.0, 1.1, 1.3}, 24);
  for (int call = 0; call < 200; ++call) {
    const double time = random() % 10 == 0 ? 0.0 : std::exp(static_cast<double>(random() % 20) - 10.0);
    costs.observe(static_cast<std::int32_t>(1 + random() % 24), time);
    for (const std::span<const double> times : {costs.expected(), costs.for_next_call()}) {
      if (times.empty()) continue;  // a try without drafts
      demand(std::ranges::is_sorted(times) && times.front() > 0.0 && std::isfinite(times.back()),
             "costs fall with the rows or are no times");
    }
  }
}

void check_plan() {
  Sequence drafting = decoding(7, 0.9, false);
  Sequence adaptive = decoding(7, 0.9, true);
  Sequence prompt = reading(20);
  const std::vector<Sequence*> sequences = {&prompt, &drafting, &adaptive};
  const auto plan = [&](std::int32_t rows, std::int32_t chunk, std::vector<double> costs) {
    return plan_rows(sequences, {rows, chunk}, RunningCosts(costs, rows).expected());
  };
  const auto is = [](const RowShare& share, std::int32_t pending, std::int32_t drafts) {
    return share.pending == pending && share.drafts == drafts;
  };
  auto shares = plan(32, 6, {});
  demand(is(shares[0], 6, 0) && is(shares[1], 1, 7) && is(shares[2], 1, 0), "plain shares");
  shares = plan(5, 6, {});
  demand(is(shares[0], 1, 0) && is(shares[1], 1, 2) && is(shares[2], 1, 0), "decoding comes first");
  shares = plan(16, 16, std::vector<double>(32, 1.0));
  demand(is(shares[0], 7, 0) && is(shares[1], 1, 7) && is(shares[2], 1, 0),
         "a prompt takes fixed drafts' rows");
  shares = plan(12, 16, {});
  demand(is(shares[0], 3, 0) && is(shares[1], 1, 7), "drafts leave a prompt no rows");
  shares = plan(1, 6, {});
  demand(is(shares[0], 0, 0) && is(shares[1], 1, 0) && is(shares[2], 0, 0), "one row");
  shares = plan(32, 6, std::vector<double>(32, 1.0));
  demand(is(shares[2], 1, 7), "free rows are not used");
  shares = plan(18, 6, std::vector<double>(32, 1.0));
  demand(is(shares[1], 1, 7) && is(shares[2], 1, 3), "drafts beyond the rows of a call");
}

void check_worth() {
  // Alone: with chances 0.5, 0.25, ... a second row is worth it below 1.5 / 1.01 times the cost, a third
  // below 1.75 / 1.01.
  Sequence sequence = decoding(7, 0.5, true);
  const std::vector<Sequence*> alone = {&sequence};
  const auto drafts = [&](std::vector<double> costs) {
    return plan_rows(alone, {32, 8}, RunningCosts(costs, 32).expected())[0].drafts;
  };
  demand(drafts({1.0, 1.48, 9.0}) == 1, "a row worth its cost is left out");
  demand(drafts({1.0, 1.51, 9.0}) == 0, "a row not worth its cost is taken");
  demand(drafts({1.0}) == 0, "rows that cost a step each are used");
  demand(drafts({1.0, 1.51, 1.6, 9.0}) == 2, "two rows together worth their cost are left out");
}

float random_logit(std::mt19937_64& random) {
  if (random() % 20 == 0) return -std::numeric_limits<float>::infinity();
  return static_cast<float>(static_cast<std::int64_t>(random() % 4000) - 2000) / 100.0F;
}

void check_pick(std::mt19937_64& random) {
  const std::size_t vocab = 1 + random() % 300;
  std::vector<float> logits(vocab);
  for (float& logit : logits) logit = random_logit(random);
  std::vector<std::uint32_t> allowed((vocab + 31) / 32);
  for (std::uint32_t& word : allowed) word = static_cast<std::uint32_t>(random());
  const std::size_t sure = random() % vocab;
  logits[sure] = 0.5F;
  allowed[sure / 32] |= 1U << (sure % 32);
  std::vector<TokenCount> counts;
  for (std::uint64_t n = random() % 5; n > 0; --n) {
    counts.push_back({static_cast<Token>(random() % vocab), static_cast<std::int32_t>(random() % 3), 1});
  }
  SamplingParams params;
  params.temperature = static_cast<float>(random() % 30) / 10.0F;
  params.top_k = static_cast<std::int32_t>(random() % 400);
  params.top_p = static_cast<float>(1 + random() % 100) / 100.0F;
  params.min_p = static_cast<float>(random() % 100) / 100.0F;
  params.frequency_penalty = random() % 2 == 0 ? 0.5F : 0.0F;
  params.seed = random();
  const Token token = pick(logits, {counts, allowed, static_cast<std::int64_t>(random() % 1000)}, params);
  const auto id = static_cast<std::size_t>(token);
  demand(token >= 0 && id < vocab && (allowed[id / 32] >> (id % 32) & 1U) != 0,
         "a token that is not allowed");
  demand(std::isfinite(logits[id]), "an impossible token");
  demand(logprobs(logits, token, 20).size() ==
             1 + std::min<std::size_t>(20, static_cast<std::size_t>(std::ranges::count_if(
                                               logits, [](float x) { return std::isfinite(x); }))),
         "number of log-probabilities");
}

void check_lookup(std::mt19937_64& random) {
  LookupSource source;
  std::vector<Token> text;
  while (text.size() < 200) {
    for (std::uint64_t n = 1 + random() % 9; n > 0; --n) text.push_back(static_cast<Token>(random() % 4));
    const Proposal proposal = source.propose(text, static_cast<std::int32_t>(1 + random() % 15), {});
    check(proposal.tree);
    for (const Token token : proposal.tree.tokens)
      demand(token >= 0 && token < 4, "a draft that is not in the text");
  }
}

int run(std::uint64_t rounds, std::uint64_t seed) {
  check_costs();
  check_plan();
  check_worth();
  std::mt19937_64 random(seed);
  check_observed_costs(random);
  for (std::uint64_t i = 0; i < rounds; ++i) check_pick(random);
  for (std::uint64_t i = 0; i < rounds / 50; ++i) check_lookup(random);
  std::cout << "seed " << seed << ": " << rounds << " picks, " << rounds / 50 << " lookups\n";
  return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc > 1 ? std::stoull(argv[1]) : 5000, argc > 2 ? std::stoull(argv[2]) : 1);
  } catch (const std::exception& error) {
    std::cerr << "decode_parts: " << error.what() << "\n";
    return EXIT_FAILURE;
  }
}
