// The CUDA kernels on a GPU against the host's functions: picks, drafts, whole steps in a captured graph,
// moved and gathered rows. Exit status 77 where there is no GPU.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <numeric>
#include <span>
#include <vector>

#include "cuda_cases.h"
#include "kernels/kernels.h"
#include "loop/loop_memory.h"
#include "mtp_rt/acceptance.h"
#include "runtime/memory.h"
#include "runtime/stream.h"
#include "sampling/rank.h"

namespace mtp_rt::cuda {
namespace {

constexpr std::int32_t kBatch = 4;

int failures = 0;

template <typename Value>
void expect_equal(const Value& found, const Value& expected, const char* what, int round) {
  if (found == expected) return;
  std::printf("%s differ in round %d\n", what, round);
  ++failures;
}

/// Enqueues a copy: one that is not in the stream's order could come after the kernels that read it.
template <typename Value>
void put(Value* to, std::span<const Value> values, const Stream& stream) {
  check(cudaMemcpyAsync(to, values.data(), values.size_bytes(), cudaMemcpyHostToDevice, stream.get()),
        "copying to the GPU");
}

void put_drafts(const StepRows& rows, std::size_t sequence, const DraftTree& tree, const Stream& stream) {
  const std::size_t first = sequence * (kWidth - 1);
  const auto count = static_cast<std::int32_t>(tree.tokens.size());
  put<Token>(rows.drafts + first, tree.tokens, stream);
  put<std::int32_t>(rows.parents + first, tree.parents, stream);
  put<std::int32_t>(rows.draft_counts + sequence, {&count, 1}, stream);
}

/// Steps of a batch: the first one kernel by kernel, the others as one captured graph.
void check_steps(std::int32_t vocab, int rounds, const Stream& stream) {
  Random random(static_cast<unsigned>(vocab));
  LoopMemory loop(kBatch, kContext, vocab);
  StepMemory step(kBatch, kWidth, 0);
  const ScoreMemory scores(kBatch * kWidth, vocab);
  std::vector<Expected> sequences(kBatch);
  std::vector<std::int32_t> slots;
  for (Expected& sequence : sequences) {
    sequence.request = make_request(vocab, random);
    sequence.text = sequence.request.prompt;
    slots.push_back(static_cast<std::int32_t>(slots.size()));
    loop.admit(slots.back(), sequence.request, sequence.text, stream.get());
  }
  step.set_slots(slots, stream.get());
  stream.wait();
  const auto enqueue = [&](cudaStream_t s) {
    enqueue_lay_rows(loop.view(), step.rows(), step.inputs(), s);
    enqueue_pick(loop.view(), step.rows(), scores.view(), step.results().picks, s);
    enqueue_commit(loop.view(), step.rows(), step.results(), s);
    step.read_back(step.all(), s);
  };
  Graph graph;
  std::vector<float> logits(static_cast<std::size_t>(vocab) * kWidth);
  for (int round = 0; round < rounds; ++round) {
    std::vector<std::vector<Token>> expected(kBatch);
    for (std::size_t b = 0; b < kBatch; ++b) {
      DraftTree tree;
      const std::vector<Token> picks = make_step(sequences[b], tree, logits, random);
      if (!sequences[b].ended) expected[b] = sequences[b].take(tree, picks);
      put<float>(scores.logits() + b * logits.size(), logits, stream);
      put_drafts(step.rows(), b, tree, stream);
    }
    if (round == 0) {
      enqueue(stream.get());
    } else {
      if (!graph) graph = Graph(stream.get(), enqueue);
      graph.launch(stream.get());
    }
    stream.wait();
    for (std::size_t b = 0; b < kBatch; ++b) {
      const StepOutcome& outcome = step.outcomes()[b];
      const auto committed = step.tokens(step.all(), static_cast<std::int32_t>(b))
                                 .first(static_cast<std::size_t>(outcome.count));
      expect_equal(std::vector(committed.begin(), committed.end()), expected[b], "committed tokens", round);
      expect_equal(outcome.ending != Ending::none, sequences[b].ended, "endings", round);
    }
  }
}

/// Drafts from scores over a selection of the vocabulary, depth by depth.
void check_drafts(std::int32_t scored, const Stream& stream) {
  Random random(static_cast<unsigned>(scored));
  const std::int32_t vocab = 3 * scored;
  std::vector<Token> ids(static_cast<std::size_t>(scored));
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<Token>(3 * i + random() % 3);
  DeviceBuffer<Token> device_ids(ids.size());
  DeviceBuffer<float> device_scores(ids.size());
  LoopMemory loop(1, kContext, vocab);
  StepMemory step(1, kWidth, 0);
  const Request request = make_request(vocab, random);
  loop.admit(0, request, request.prompt, stream.get());
  step.set_slots(std::vector<std::int32_t>{0}, stream.get());
  device_ids.upload(ids, stream.get());
  std::vector<Token> expected;
  std::vector<float> scores(ids.size());
  for (std::int32_t depth = 0; depth + 1 < kWidth; ++depth) {
    fill_row(scores, random);
    stream.wait();
    put<float>(device_scores.data(), scores, stream);
    enqueue_pick_draft(loop.view(), step.rows(),
                       {device_scores.data(), device_ids.data(), scored, scored, depth}, stream.get());
    expected.push_back(ids[static_cast<std::size_t>(std::ranges::max_element(scores) - scores.begin())]);
    if (request.params.temperature == 0.0F) continue;
    float chance = 0.0F;
    const auto position = static_cast<std::int64_t>(request.prompt.size()) + depth;
    rank(scores, ScoredTokens(ids), request.params, position, {&expected.back(), 1}, {&chance, 1});
  }
  std::vector<Token> found(expected.size());
  stream.wait();
  check(cudaMemcpy(found.data(), step.rows().drafts, found.size() * sizeof(Token), cudaMemcpyDeviceToHost),
        "reading drafts");
  expect_equal(found, expected, "drafts", scored);
}

/// Rows of a cache move, states are gathered and tokens embedded, in units of 16 and of 2 bytes.
void check_copies(std::int32_t row_bytes, const Stream& stream) {
  constexpr std::int32_t kPlaces = 12;
  const std::int32_t units = row_bytes / 2;
  std::vector<std::uint16_t> cache(static_cast<std::size_t>(2 * 3 * kPlaces * units));  // 2 slots, 3 heads
  std::iota(cache.begin(), cache.end(), std::uint16_t{0});
  DeviceBuffer<std::uint16_t> memory(cache.size());
  DeviceBuffer<std::uint16_t> to(static_cast<std::size_t>(2 * units));
  DeviceBuffer<void*> matrices(1);
  StepMemory step(1, kWidth, 0);
  memory.upload(cache, stream.get());
  void* matrix = memory.data();
  matrices.upload({&matrix, 1}, stream.get());
  step.set_slots(std::vector<std::int32_t>{1}, stream.get());
  const StepOutcome outcome{.count = 3, .accepted = 2, .place = 4, .last_row = 5, .ending = Ending::none};
  stream.wait();
  put<StepOutcome>(step.results().outcomes, {&outcome, 1}, stream);
  put<std::int32_t>(step.results().kept, std::vector<std::int32_t>{0, 2, 5}, stream);
  enqueue_move({matrices.data(), 1, 3, kPlaces, row_bytes}, step.rows(), step.results(), stream.get());
  const auto row = [&](std::vector<std::uint16_t>& values, std::int32_t index) {
    return values.begin() + static_cast<std::ptrdiff_t>(index) * units;
  };
  std::vector<std::uint16_t> found(cache.size());
  memory.download(found, stream.get());
  stream.wait();
  for (std::int32_t head = 3; head < 6; ++head) {
    std::copy_n(row(cache, head * kPlaces + 6), units, row(cache, head * kPlaces + 5));
    std::copy_n(row(cache, head * kPlaces + 9), units, row(cache, head * kPlaces + 6));
  }
  expect_equal(found, cache, "moved rows", row_bytes);

  std::vector<std::uint16_t> rows(static_cast<std::size_t>(2 * units));
  enqueue_gather_state(memory.data(), to.data(), static_cast<std::size_t>(row_bytes), step.rows(),
                       step.results().outcomes, stream.get());
  to.download(rows, stream.get());
  stream.wait();
  expect_equal(std::vector(row(rows, 0), row(rows, 1)), std::vector(row(cache, 5), row(cache, 6)), "states",
               row_bytes);

  put<Token>(step.results().tokens, std::vector<Token>{7, 2}, stream);
  enqueue_embed(memory.data(), step.results().tokens, to.data(), static_cast<std::size_t>(row_bytes), 2,
                stream.get());
  to.download(rows, stream.get());
  stream.wait();
  std::vector<std::uint16_t> expected(row(cache, 7), row(cache, 8));
  expected.insert(expected.end(), row(cache, 2), row(cache, 3));
  expect_equal(rows, expected, "embeddings", row_bytes);
}

}  // namespace
}  // namespace mtp_rt::cuda

int main() try {
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
    std::puts("skipped: no GPU");
    return 77;
  }
  const mtp_rt::cuda::Stream stream;
  for (const std::int32_t vocab : {1000, 49152, 151936}) mtp_rt::cuda::check_steps(vocab, 40, stream);
  for (int scored = 500; scored < 520; ++scored) mtp_rt::cuda::check_drafts(scored, stream);
  for (const std::int32_t bytes : {32, 6}) mtp_rt::cuda::check_copies(bytes, stream);
  std::printf("%d differences\n", mtp_rt::cuda::failures);
  return mtp_rt::cuda::failures == 0 ? 0 : 1;
} catch (const std::exception& error) {
  std::printf("%s\n", error.what());
  return 1;
}
