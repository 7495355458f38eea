// The bodies of the CUDA kernels on the host, under the sanitizers: picks and whole steps against pick() and
// accept().
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <memory>
#include <span>
#include <vector>

#include "cuda_cases.h"
#include "kernels/commit_body.h"
#include "kernels/host_block.h"
#include "kernels/lay_rows_body.h"
#include "kernels/pick_step.h"
#include "loop/slot_start.h"

namespace mtp_rt::cuda {
namespace {

constexpr std::int32_t kThreads = 8;
constexpr std::int32_t kListed = 4;  // few: searches go digit by digit

/// The loop's state of one sequence, every array just as large as it must be.
struct HostLoop {
  HostLoop(const Request& request, std::int32_t vocab)
      : start(slot_start(request, request.prompt, vocab, kContext)),
        tokens(kContext),
        counts(static_cast<std::size_t>(vocab)),
        stops(kMaxStops),
        bias(kMaxBias) {
    std::ranges::copy(start.tokens, tokens.begin());
    std::ranges::copy(start.counts, counts.begin());
    std::ranges::copy(start.stops, stops.begin());
    std::ranges::copy(start.bias, bias.begin());
    state = {&start.state, tokens.data(), counts.data(), stops.data(), bias.data(), kContext, vocab};
  }

  SlotStart start;
  std::vector<Token> tokens;
  std::vector<Tally> counts;
  std::vector<Token> stops;
  std::vector<Bias> bias;
  LoopState state;
};

/// One step of `loop` with a tree of drafts; the tokens it commits.
std::vector<Token> run_step(HostLoop& loop, DraftTree tree, std::vector<float>& logits, std::uint32_t order) {
  const auto width = static_cast<std::int32_t>(tree.tokens.size()) + 1;
  const auto rows_size = static_cast<std::size_t>(width);
  auto count = width - 1;
  const std::int32_t slot = 0;
  const StepRows rows{1, width, &slot, tree.tokens.data(), tree.parents.data(), &count};
  std::vector<std::int64_t> inputs(2 * rows_size + 1);
  const auto sees = std::make_unique<bool[]>(rows_size * rows_size);
  std::vector<float> scratch(logits.size());
  std::vector<Token> picks(rows_size);
  std::vector<Token> committed(rows_size);
  std::vector<std::int32_t> kept(rows_size);
  StepOutcome outcome;
  std::int64_t last = -1;
  const HostBlock block(kThreads, order);
  const auto shared = std::make_unique<PickStepShared<kThreads, kListed>>();
  for (std::int32_t row = 0; row < width; ++row) {
    lay_row(loop.state, rows, {inputs.data(), inputs.data() + width, inputs.data() + 2 * width, sees.get()},
            0, row);
    pick_step_row(block, loop.state, rows, {logits.data(), scratch.data(), nullptr}, 0, row, picks.data(),
                  *shared);
  }
  commit_sequence(loop.state, rows, {picks.data(), committed.data(), kept.data(), &last, &outcome}, 0);
  committed.resize(static_cast<std::size_t>(outcome.count));
  if (last != committed.back()) committed.clear();
  return committed;
}

int check_texts(std::int32_t vocab, int texts) {
  Random random(static_cast<unsigned>(vocab));
  int failures = 0;
  for (int i = 0; i < texts; ++i) {
    Expected expected;
    expected.request = make_request(vocab, random);
    expected.text = expected.request.prompt;
    HostLoop loop(expected.request, vocab);
    while (!expected.ended) {
      DraftTree tree;
      std::vector<float> logits(static_cast<std::size_t>(vocab) * kWidth);
      const std::vector<Token> picks = make_step(expected, tree, logits, random);
      logits.resize(static_cast<std::size_t>(vocab) * (tree.tokens.size() + 1));
      logits.shrink_to_fit();
      const std::vector<Token> wanted = expected.take(tree, picks);
      if (run_step(loop, tree, logits, static_cast<std::uint32_t>(random())) != wanted) ++failures;
    }
    if ((loop.start.state.ending == Ending::none) == expected.ended) ++failures;
  }
  return failures;
}

}  // namespace
}  // namespace mtp_rt::cuda

int main() try {
  int failures = 0;
  for (const std::int32_t vocab : {5, 70, 1500}) failures += mtp_rt::cuda::check_texts(vocab, 6);
  std::printf("%d differences\n", failures);
  return failures == 0 ? 0 : 1;
} catch (const std::exception& error) {
  std::printf("%s\n", error.what());
  return 1;
}
