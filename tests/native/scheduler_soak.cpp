// Several threads submit, cancel, watch and step one scheduler over the fake engine. Run under TSan: no
// request may emit anything but the start of the text it has alone, all must end, and the slots come back
// empty.
//
//     scheduler_soak [REQUESTS] [SEED]
#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "mtp_rt/scheduler.h"
#include "testing/fake_engine.h"
#include "testing/scripted_source.h"

namespace {

using namespace mtp_rt;

constexpr std::int32_t kVocab = 32;
constexpr std::int32_t kSubmitters = 3;

void demand(bool promise, const std::string& what) {
  if (!promise) throw std::logic_error(what);
}

std::shared_ptr<Engine> fake_engine(std::int32_t slots) {
  testing::FakeOptions options;
  options.slots = slots;
  options.max_rows = 24;
  options.vocab_size = kVocab;
  options.order = 3;
  options.extra_heads = 3;
  auto engine = std::make_shared<testing::FakeEngine>(options);
  // Right only by chance: what the heads say must not matter.
  engine->set_heads(
      [](const std::vector<Token>& text, std::int32_t count, std::int32_t width) {
        const auto token = static_cast<Token>((text.back() + text.size()) % kVocab);
        return std::vector<std::pair<Token, float>>(static_cast<std::size_t>(count * width), {token, 0.5F});
      },
      {});
  return engine;
}

Request random_request(std::mt19937_64& random) {
  Request request;
  for (std::uint64_t length = 1 + random() % 20; length > 0; --length) {
    request.prompt.push_back(static_cast<Token>(random() % kVocab));
  }
  request.params.temperature = random() % 2 == 0 ? 0.0F : 1.0F;
  request.params.presence_penalty = random() % 3 == 0 ? 1.0F : 0.0F;
  request.params.seed = random();
  request.max_tokens = static_cast<std::int32_t>(1 + random() % 30);
  request.stop_token_ids = {static_cast<Token>(random() % kVocab)};
  request.drafts.source = "none";
  return request;
}

std::vector<Token> solo_text(const Request& request) {
  Scheduler scheduler(fake_engine(1));
  scheduler.submit(request);
  std::vector<Token> text;
  while (scheduler.running() + scheduler.waiting() > 0) {
    for (const Event& event : scheduler.run_once()) {
      text.insert(text.end(), event.commit.tokens.begin(), event.commit.tokens.end());
    }
  }
  return text;
}

/// What was asked and what came, by request.
class Record {
 public:
  void expect(RequestId id, std::vector<Token> text) {
    const std::scoped_lock lock(mutex_);
    entries_[id].expected = std::move(text);
  }

  void add(const std::vector<Event>& events) {
    const std::scoped_lock lock(mutex_);
    for (const Event& event : events) {
      Entry& entry = entries_[event.request];
      demand(!entry.finish, "an event after the last one");
      entry.text.insert(entry.text.end(), event.commit.tokens.begin(), event.commit.tokens.end());
      entry.finish = event.finish;
    }
  }

  /// Number of requests that ran to their end; throws unless all kept the promise.
  std::size_t check(std::size_t count) const {
    demand(entries_.size() == count, "events of unknown requests");
    std::size_t whole = 0;
    for (const auto& [id, entry] : entries_) {
      const std::string name = "request " + std::to_string(id);
      demand(entry.finish.has_value(), name + " did not end");
      demand(entry.finish != FinishReason::error, name + " failed");
      const bool cancelled = entry.finish == FinishReason::cancelled;
      demand(entry.text.size() <= entry.expected.size() &&
                 std::equal(entry.text.begin(), entry.text.end(), entry.expected.begin()),
             name + " emitted another text");
      demand(cancelled || entry.text.size() == entry.expected.size(), name + " ended early");
      whole += cancelled ? 0 : 1;
    }
    return whole;
  }

 private:
  struct Entry {
    std::vector<Token> expected;
    std::vector<Token> text;
    std::optional<FinishReason> finish;
  };
  mutable std::mutex mutex_;
  std::map<RequestId, Entry> entries_;
};

void submit_some(Scheduler& scheduler, Record& record, std::size_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<RequestId> mine;
  for (std::size_t i = 0; i < count; ++i) {
    Request request = random_request(random);
    std::vector<Token> text = solo_text(request);
    if (random() % 2 == 0) {
      constexpr std::array kSources{"lookup", "heads", "auto"};
      request.drafts.source = kSources[random() % kSources.size()];
      request.drafts.adaptive = random() % 2 == 0;
    } else {
      std::vector<Token> reference = request.prompt;
      reference.insert(reference.end(), text.begin(), text.end());
      request.drafts.adaptive = false;
      request.draft_source = std::make_shared<testing::ScriptedSource>(std::move(reference), 0.8,
                                                                       random() % 2 == 0, random(), kVocab);
    }
    mine.push_back(scheduler.submit(std::move(request)));
    record.expect(mine.back(), std::move(text));
    if (random() % 4 == 0) static_cast<void>(scheduler.cancel(mine[random() % mine.size()]));
    if (random() % 2 == 0) std::this_thread::yield();
  }
}

int run(std::size_t requests, std::uint64_t seed) {
  const std::shared_ptr<Engine> engine = fake_engine(4);
  Scheduler scheduler(engine, {.prefill_chunk = 8, .verify_ms = {1.0, 1.1, 1.2, 1.4}});
  Record record;
  std::atomic<bool> all_submitted{false};
  std::mutex turn;  // two threads step, but each must record its events before the next step
  const auto step = [&] {
    while (!all_submitted || scheduler.running() + scheduler.waiting() > 0) {
      const std::scoped_lock lock(turn);
      record.add(scheduler.run_once());
      std::this_thread::yield();
    }
  };
  std::thread first(step);
  std::thread second(step);
  std::vector<std::thread> submitters;
  const std::size_t share = requests / kSubmitters;
  for (std::uint64_t i = 0; i < kSubmitters; ++i) {
    submitters.emplace_back([&, i] { submit_some(scheduler, record, share, seed + i); });
  }
  for (std::thread& thread : submitters) thread.join();
  all_submitted = true;
  first.join();
  second.join();
  record.add(scheduler.run_once());  // requests cancelled while waiting

  const std::size_t whole = record.check(share * kSubmitters);
  for (Slot slot = 0; slot < engine->info().slots; ++slot)
    demand(engine->length(slot) == 0, "a slot is in use");
  demand(whole > 0 && whole < share * kSubmitters, "the soak met no cancelled or no finished request");
  std::cout << "seed " << seed << ": " << whole << " of " << share * kSubmitters
            << " requests ran to their end\n";
  return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc > 1 ? std::stoul(argv[1]) : 600, argc > 2 ? std::stoull(argv[2]) : 1);
  } catch (const std::exception& error) {
    std::cerr << "scheduler_soak: " << error.what() << "\n";
    return EXIT_FAILURE;
  }
}
