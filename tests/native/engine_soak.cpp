// The native engine under the sanitizers: rows of chains and trees against one row at a time, on every
// instruction set and thread count; then requests submitted and cancelled from several threads against the
// same requests alone.
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <map>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engines/native/kernels/select.h"
#include "mtp_rt/mtp_rt.h"

namespace {

using namespace mtp_rt;
using Logits = std::vector<float>;

void demand(bool holds, const std::string& what) {
  if (!holds) throw std::runtime_error(what);
}

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

std::vector<Token> random_tokens(std::size_t n, std::int32_t vocab, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<Token> tokens(n);
  for (Token& t : tokens) t = static_cast<Token>(random() % static_cast<std::uint32_t>(vocab));
  return tokens;
}

Logits verify(Engine& engine, const std::vector<VerifyRow>& rows) {
  Logits logits(rows.size() * static_cast<std::size_t>(engine.info().vocab_size));
  engine.verify(rows, {.logits = logits, .states = {}, .taps = {}, .tapped = {}});
  return logits;
}

void commit(Engine& engine, Slot slot, const std::vector<std::int32_t>& rows) {
  const KeptRows kept{slot, rows};
  engine.commit({&kept, 1});
}

std::unique_ptr<Engine> open(const std::string& model, const std::string& isa, int threads, int slots) {
  EngineOptions options;
  options.isa = isa;
  options.threads = threads;
  options.slots = slots;
  return open_engine(ModelDir::open(model), options);
}

// Logits of every position, one row a call.
std::vector<Logits> one_by_one(Engine& engine, const std::vector<Token>& tokens) {
  std::vector<Logits> all;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    all.push_back(verify(engine, {{0, tokens[i], static_cast<std::int32_t>(i), -1, true, false}}));
    commit(engine, 0, {0});
  }
  engine.release(0);
  return all;
}

void check_chains(Engine& engine, const std::vector<Token>& tokens, const std::vector<Logits>& expected,
                  int width) {
  const auto n = static_cast<std::int32_t>(tokens.size());
  for (std::int32_t start = 0; start < n;) {
    const std::int32_t count = std::min(width, n - start);
    std::vector<VerifyRow> rows;
    std::vector<std::int32_t> kept;
    for (std::int32_t i = 0; i < count; ++i) {
      rows.push_back({0, tokens[static_cast<std::size_t>(start + i)], start + i, i - 1, true, false});
      kept.push_back(i);
    }
    const Logits logits = verify(engine, rows);
    const std::size_t vocab = expected.front().size();
    for (std::int32_t i = 0; i < count; ++i) {
      demand(same_bits(std::span(logits).subspan(static_cast<std::size_t>(i) * vocab, vocab),
                       expected[static_cast<std::size_t>(start + i)]),
             "row " + std::to_string(start + i) + " differs in a chain of " + std::to_string(width));
    }
    commit(engine, 0, kept);
    start += count;
  }
  engine.release(0);
}

// Each true row is followed by a wrong sibling, so that kept rows must be moved together.
void check_trees(Engine& engine, const std::vector<Token>& tokens, const std::vector<Logits>& expected) {
  const std::size_t vocab = expected.front().size();
  constexpr std::int32_t kDepth = 4;
  for (std::int32_t start = 0; start + kDepth <= static_cast<std::int32_t>(tokens.size()); start += kDepth) {
    std::vector<VerifyRow> rows{{0, tokens[static_cast<std::size_t>(start)], start, -1, true, false}};
    std::vector<std::int32_t> path{0};
    for (std::int32_t d = 1; d < kDepth; ++d) {
      const Token right = tokens[static_cast<std::size_t>(start + d)];
      const std::int32_t parent = path.back();
      rows.push_back({0, right == 0 ? 1 : right - 1, start + d, parent, true, false});
      rows.push_back({0, right, start + d, parent, true, false});
      path.push_back(static_cast<std::int32_t>(rows.size()) - 1);
    }
    const Logits logits = verify(engine, rows);
    for (std::size_t d = 0; d < path.size(); ++d) {
      const auto row = static_cast<std::size_t>(path[d]);
      demand(same_bits(std::span(logits).subspan(row * vocab, vocab),
                       expected[static_cast<std::size_t>(start) + d]),
             "row " + std::to_string(start) + " + " + std::to_string(d) + " differs in a tree");
    }
    commit(engine, 0, path);
  }
  engine.release(0);
}

void check_rows(const std::string& model) {
  std::vector<Logits> expected;
  for (const std::string& isa : native::available_isas()) {
    for (const int threads : {1, 2, 3}) {
      const std::unique_ptr<Engine> engine = open(model, isa, threads, 1);
      const std::vector<Token> tokens = random_tokens(148, engine->info().vocab_size, 1);
      if (expected.empty()) expected = one_by_one(*engine, tokens);
      for (const int width : {1, 3, 8, 21}) check_chains(*engine, tokens, expected, width);
      check_trees(*engine, tokens, expected);
      std::cout << isa << ", " << threads << " threads: rows agree\n";
    }
  }
}

Request make_request(std::uint32_t seed, std::int32_t vocab) {
  Request request;
  request.prompt = random_tokens(5 + seed % 40, vocab, seed);
  request.max_tokens = 24;
  request.params.temperature = seed % 2 == 0 ? 0.0F : 0.9F;
  request.params.seed = seed;
  request.drafts.source = seed % 3 == 0 ? "none" : "lookup";
  return request;
}

using Texts = std::map<RequestId, std::vector<Token>>;

// Runs until `done()` and nothing is left; collects tokens, except of cancelled requests.
template <typename Done>
Texts drain(Scheduler& scheduler, Done done) {
  Texts texts;
  while (!done() || scheduler.running() + scheduler.waiting() > 0) {
    for (Event& event : scheduler.run_once()) {
      std::vector<Token>& text = texts[event.request];
      text.insert(text.end(), event.commit.tokens.begin(), event.commit.tokens.end());
      demand(!event.error, "request failed: " + event.error.value_or(""));
      if (event.finish == FinishReason::cancelled) texts.erase(event.request);
    }
  }
  return texts;
}

void check_soak(const std::string& model) {
  constexpr int kThreads = 3;
  constexpr std::uint32_t kPerThread = 12;
  Scheduler scheduler(open(model, "", 2, 4),
                      {.prefill_chunk = 16, .verify_ms = {1.0, 1.1, 1.2, 1.3, 1.5, 1.7, 1.9, 2.0}});
  Scheduler alone(open(model, "", 1, 1), {.prefill_chunk = 64, .verify_ms = {1.0}});
  const std::int32_t vocab = ModelDir::open(model)->config().vocab_size;
  std::vector<std::vector<std::pair<RequestId, std::uint32_t>>> submitted(kThreads);
  std::atomic<int> working{kThreads};
  std::vector<std::thread> clients;
  for (int t = 0; t < kThreads; ++t) {
    clients.emplace_back([&, t] {
      for (std::uint32_t i = 0; i < kPerThread; ++i) {
        const std::uint32_t seed = static_cast<std::uint32_t>(t) * 100 + i;
        const RequestId id = scheduler.submit(make_request(seed, vocab));
        if (i % 4 == 3) scheduler.cancel(id);
        submitted[static_cast<std::size_t>(t)].emplace_back(id, seed);
      }
      --working;
    });
  }
  const Texts texts = drain(scheduler, [&] { return working == 0; });
  for (std::thread& client : clients) client.join();
  int compared = 0;
  for (const auto& requests : submitted) {
    for (const auto& [id, seed] : requests) {
      const auto text = texts.find(id);
      if (text == texts.end()) continue;
      const RequestId solo = alone.submit(make_request(seed, vocab));
      demand(drain(alone, [] { return true; }).at(solo) == text->second,
             "request " + std::to_string(seed) + " differs from the same request alone");
      ++compared;
    }
  }
  demand(compared >= kThreads * static_cast<int>(kPerThread) / 2, "too few requests survived to compare");
  std::cout << compared << " requests equal those run alone\n";
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::string model = argc > 1 ? argv[1] : MTP_RT_TINY_MODEL;
    check_rows(model);
    check_soak(model);
    return EXIT_SUCCESS;
  } catch (const std::exception& error) {
    std::cerr << "engine_soak: " << error.what() << "\n";
    return EXIT_FAILURE;
  }
}
