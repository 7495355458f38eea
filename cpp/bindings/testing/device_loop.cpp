// The loop whose state lies on the GPU, with its kernels' bodies run on the host.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <memory>
#include <tuple>
#include <vector>

#include "kernels/host_step.h"
#include "loop/host_loop_state.h"
#include "testing/testing.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace mtp_rt::testing {
namespace {

/// State and steps of one shape in host memory.
class DeviceLoop {
 public:
  using Logits = nb::ndarray<const float, nb::ndim<3>, nb::c_contig, nb::device::cpu>;
  using Row =
      std::tuple<std::vector<std::int64_t>, std::vector<std::int64_t>, std::int64_t, std::vector<bool>>;
  using Result = std::tuple<std::vector<Token>, std::vector<std::int32_t>, std::int32_t, std::int32_t, Token>;

  DeviceLoop(std::int32_t slots, std::int32_t batch, std::int32_t width, std::int32_t context,
             std::int32_t vocab)
      : loop_(slots, context, vocab),
        chosen_(static_cast<std::size_t>(batch), -1),
        drafts_(static_cast<std::size_t>(batch * (width - 1))),
        parents_(drafts_.size()),
        draft_counts_(static_cast<std::size_t>(batch)),
        picks_(static_cast<std::size_t>(batch * width)),
        committed_(picks_.size()),
        kept_(picks_.size()),
        draft_tokens_(static_cast<std::size_t>(batch), -1),
        outcomes_(static_cast<std::size_t>(batch)) {
    state_ = loop_.view();
    rows_ = {batch, width, chosen_.data(), drafts_.data(), parents_.data(), draft_counts_.data()};
    results_ = {picks_.data(), committed_.data(), kept_.data(), draft_tokens_.data(), outcomes_.data()};
  }

  void admit(std::int32_t slot, const Request& request, const std::vector<Token>& tokens) {
    loop_.admit(slot, request, tokens);
  }

  void set_slots(const std::vector<std::int32_t>& slots) { std::ranges::copy(slots, chosen_.begin()); }

  void set_drafts(std::int32_t sequence, const std::vector<Token>& tokens,
                  const std::vector<std::int32_t>& parents) {
    const std::ptrdiff_t first = static_cast<std::ptrdiff_t>(sequence) * (rows_.width - 1);
    std::ranges::copy(tokens, drafts_.begin() + first);
    std::ranges::copy(parents, parents_.begin() + first);
    draft_counts_.at(static_cast<std::size_t>(sequence)) = static_cast<std::int32_t>(tokens.size());
  }

  /// Per sequence: tokens, positions, length and the flattened tree of verify's inputs.
  std::vector<Row> lay_rows() {
    const auto all = static_cast<std::size_t>(rows_.batch * rows_.width);
    std::vector<std::int64_t> tokens(all, -7);
    std::vector<std::int64_t> positions(all, -7);
    std::vector<std::int64_t> lengths(static_cast<std::size_t>(rows_.batch), -7);
    const auto tree = std::make_unique<bool[]>(all * static_cast<std::size_t>(rows_.width));
    const cuda::VerifyInputs inputs{tokens.data(), positions.data(), lengths.data(), tree.get()};
    cuda::lay_rows_on_host(state_, rows_, inputs);
    std::vector<Row> result;
    const std::ptrdiff_t width = rows_.width;
    for (std::ptrdiff_t b = 0; b < rows_.batch; ++b) {
      result.emplace_back(
          std::vector(tokens.begin() + b * width, tokens.begin() + (b + 1) * width),
          std::vector(positions.begin() + b * width, positions.begin() + (b + 1) * width),
          lengths[static_cast<std::size_t>(b)],
          std::vector<bool>(tree.get() + b * width * width, tree.get() + (b + 1) * width * width));
    }
    return result;
  }

  /// Picks, accepts and commits. Per sequence: committed tokens, kept rows, accepted drafts, ending, error.
  std::vector<Result> step(const Logits& logits, std::uint32_t order) {
    std::vector<float> scratch(logits.size());
    const cuda::StepScores scores{logits.data(), scratch.data(), nullptr};
    cuda::pick_on_host(state_, rows_, scores, picks_.data(), order);
    cuda::commit_on_host(state_, rows_, results_);
    std::vector<Result> result;
    for (std::int32_t b = 0; b < rows_.batch; ++b) {
      const cuda::StepOutcome& outcome = outcomes_[static_cast<std::size_t>(b)];
      const std::ptrdiff_t first = static_cast<std::ptrdiff_t>(b) * rows_.width;
      result.emplace_back(std::vector(committed_.begin() + first, committed_.begin() + first + outcome.count),
                          std::vector(kept_.begin() + first, kept_.begin() + first + outcome.count),
                          outcome.accepted, static_cast<std::int32_t>(outcome.ending), outcome.error);
    }
    return result;
  }

  /// Drafts one depth from scores [batch, 1, entries]; the drafts of all sequences so far.
  std::vector<std::vector<Token>> draft(const Logits& logits, const std::vector<Token>& ids,
                                        std::int32_t depth) {
    const auto entries = static_cast<std::int32_t>(logits.shape(2));
    const cuda::DraftScores scores{
        logits.data(), ids.empty() ? nullptr : ids.data(), entries, entries, depth, draft_tokens_.data()};
    cuda::pick_draft_on_host(state_, rows_, scores);
    std::vector<std::vector<Token>> drafts;
    for (std::int32_t b = 0; b < rows_.batch; ++b) {
      const auto first = drafts_.begin() + static_cast<std::ptrdiff_t>(b) * (rows_.width - 1);
      drafts.emplace_back(first, first + draft_counts_[static_cast<std::size_t>(b)]);
    }
    return drafts;
  }

  [[nodiscard]] std::vector<std::int64_t> draft_tokens() const { return draft_tokens_; }

  /// The state [batch, width] values that each sequence's drafts start from.
  std::vector<float> gather(const std::vector<float>& states) {
    std::vector<float> to(static_cast<std::size_t>(rows_.batch));
    cuda::gather_state_on_host(states.data(), to.data(), 1, rows_, outcomes_.data());
    return to;
  }

 private:
  cuda::HostLoopState loop_;
  std::vector<std::int32_t> chosen_;
  std::vector<Token> drafts_;
  std::vector<std::int32_t> parents_;
  std::vector<std::int32_t> draft_counts_;
  std::vector<Token> picks_;
  std::vector<Token> committed_;
  std::vector<std::int32_t> kept_;
  std::vector<std::int64_t> draft_tokens_;
  std::vector<cuda::StepOutcome> outcomes_;
  cuda::LoopState state_;
  cuda::StepRows rows_;
  cuda::StepResults results_;
};

}  // namespace

void bind_device_loop(nb::module_& module) {
  nb::class_<DeviceLoop>(module, "DeviceLoop")
      .def(nb::init<std::int32_t, std::int32_t, std::int32_t, std::int32_t, std::int32_t>(), "slots"_a,
           "batch"_a, "width"_a, "context"_a, "vocab"_a)
      .def("admit", &DeviceLoop::admit, "slot"_a, "request"_a, "tokens"_a)
      .def("set_slots", &DeviceLoop::set_slots, "slots"_a)
      .def("set_drafts", &DeviceLoop::set_drafts, "sequence"_a, "tokens"_a, "parents"_a)
      .def("lay_rows", &DeviceLoop::lay_rows)
      .def("step", &DeviceLoop::step, "logits"_a, "order"_a = 1)
      .def("draft", &DeviceLoop::draft, "logits"_a, "ids"_a, "depth"_a)
      .def("gather", &DeviceLoop::gather, "states"_a)
      .def_prop_ro("draft_tokens", [](const DeviceLoop& loop) { return loop.draft_tokens(); });
}

}  // namespace mtp_rt::testing
