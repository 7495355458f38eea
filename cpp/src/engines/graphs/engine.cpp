#include "engines/graphs/engine.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engines/call_checks.h"
#include "engines/draft_rows.h"
#include "engines/engine_info.h"
#include "engines/graphs/heads_graphs.h"
#include "engines/graphs/heads_layout.h"
#include "engines/graphs/tracked_loop.h"
#include "engines/graphs/trunk_graph.h"
#include "engines/graphs/weight_bytes.h"
#include "engines/timed.h"
#include "engines/verify_rows.h"
#include "mtp_rt/error.h"

namespace mtp_rt::graphs {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

class GraphEngine final : public Engine, public Timed {
 public:
  GraphEngine(std::shared_ptr<const ModelDir> model, EngineInfo info, std::unique_ptr<Backend> backend)
      : model_(std::move(model)),
        info_(std::move(info)),
        backend_(std::move(backend)),
        trunk_(*backend_, model_->config(), info_.slots, info_.max_rows),
        lengths_(static_cast<std::size_t>(info_.slots)) {
    info_.weight_bytes = step_bytes(*backend_, *model_);
    if (model_->config().extra_heads) open_heads(*model_->config().extra_heads);
    open_loop(model_->config().extra_heads);
  }

  [[nodiscard]] const EngineInfo& info() const noexcept override { return info_; }

  [[nodiscard]] std::int32_t length(Slot slot) const override {
    return lengths_[static_cast<std::size_t>(checked(slot))];
  }

  void verify(std::span<const VerifyRow> rows, const VerifyOutputs& outputs) override {
    const auto start = Clock::now();
    VerifyPlan plan = plan_verify(rows, info_, [this](Slot slot) { return length(slot); });
    for (const VerifyRow& row : rows) check_not_in_loop(row.slot);
    check_outputs(plan, outputs, info_);
    if (!plan.state_rows.empty() && (!outputs.taps.empty() || state_is_fused_)) {
      throw UnsupportedError(
          "outputs: exported graphs give no layer's output, nor the trunk's state where "
          "heads read fused layers; engine 'native' does");
    }
    plan_ = {};
    tokens_.clear();
    graph_seconds_ = 0.0;
    states_.resize(rows.size() * hidden());
    Written written;
    for (const Segment& segment : plan.segments) run_segment(segment, plan, rows, outputs, written);
    for (const VerifyRow& row : rows) tokens_.push_back(row.token);
    plan_ = std::move(plan);
    seconds_ = seconds_since(start);
  }

  void commit(std::span<const KeptRows> kept) override {
    for (const auto& [segment, offsets] : plan_kept(kept, plan_)) {
      for (const std::int32_t offset : offsets) {
        const auto row = static_cast<std::size_t>(segment.first_row + offset);
        if (heads_) heads_->keep(segment.slot, tokens_[row], state(row));
      }
      trunk_.keep(segment.slot, segment.base, offsets);
      lengths_[static_cast<std::size_t>(segment.slot)] += static_cast<std::int32_t>(offsets.size());
    }
    plan_ = {};
  }

  void draft(std::span<const DraftRow> rows, const DraftOutputs& outputs) override {
    if (!heads_) throw UnsupportedError("draft: the model has no extra heads; mtp-rt distill makes some");
    const std::vector<HeadRow> planned =
        plan_draft(rows, outputs, info_, [this](Slot slot) { return length(slot); });
    for (const DraftRow& row : rows) check_not_in_loop(row.slot);
    for (const HeadRow& row : planned) heads_->draft(row, outputs);
  }

  void release(Slot slot) override {
    lengths_[static_cast<std::size_t>(checked(slot))] = 0;
    trunk_.clear(slot);
    if (heads_) heads_->clear(slot);
    if (loop_) loop_->release(slot);
    std::erase_if(plan_.segments, [slot](const Segment& s) { return s.slot == slot; });
  }

  [[nodiscard]] DeviceLoop* device_loop() noexcept override { return loop_ ? &*loop_ : nullptr; }

  [[nodiscard]] std::map<std::string, double> seconds_by_phase() const override {
    return {{"graph", graph_seconds_}, {"other", seconds_ - graph_seconds_}};
  }

 private:
  /// Rows of the outputs that earlier slots of the call have filled.
  struct Written {
    std::size_t logits = 0;
    std::size_t states = 0;
  };

  [[nodiscard]] Slot checked(Slot slot) const { return in_range("slot", slot, 0, info_.slots - 1); }
  [[nodiscard]] std::size_t hidden() const noexcept { return static_cast<std::size_t>(info_.hidden_size); }
  [[nodiscard]] std::span<float> state(std::size_t row) {
    return std::span(states_).subspan(row * hidden(), hidden());
  }

  void run_segment(const Segment& segment, const VerifyPlan& plan, std::span<const VerifyRow> rows,
                   const VerifyOutputs& outputs, Written& written) {
    const auto in_segment = [&segment](std::span<const std::int32_t> wanted, std::size_t first) {
      const auto end = std::ranges::lower_bound(wanted, segment.first_row + segment.rows);
      return wanted.subspan(first, static_cast<std::size_t>(end - wanted.begin()) - first);
    };
    const auto logit_rows = in_segment(plan.logit_rows, written.logits);
    const auto start = Clock::now();
    trunk_.run(segment, rows, logit_rows);
    graph_seconds_ += seconds_since(start);
    const auto vocab = static_cast<std::size_t>(info_.vocab_size);
    std::ranges::copy(trunk_.logits(logit_rows.size()),
                      outputs.logits.subspan(written.logits * vocab).begin());
    written.logits += logit_rows.size();
    std::ranges::copy(trunk_.states(static_cast<std::size_t>(segment.rows)),
                      state(static_cast<std::size_t>(segment.first_row)).data());
    for (const std::int32_t row : in_segment(plan.state_rows, written.states)) {
      std::ranges::copy(state(static_cast<std::size_t>(row)),
                        outputs.states.subspan(written.states++ * hidden()).begin());
    }
  }

  void open_heads(const HeadsConfig& heads) {
    heads_.emplace(*backend_, *model_, heads, info_.slots);
    info_.extra_heads = heads.count;
    info_.head_bytes = depth_bytes(*backend_, *model_, heads);
    info_.acceptance = heads.acceptance;
    state_is_fused_ = !heads.taps.empty();
  }

  /// Heads that attend have caches which only the host's steps keep.
  void open_loop(const std::optional<HeadsConfig>& heads) {
    if (heads && heads->body == HeadBody::block) return;
    std::unique_ptr<DeviceLoop> loop =
        backend_->make_loop(info_, heads ? loop_heads(*model_, *heads) : LoopHeads{});
    if (loop) loop_.emplace(std::move(loop), lengths_);
  }

  void check_not_in_loop(Slot slot) const {
    if (!loop_ || !loop_->holds(slot)) return;
    throw ArgumentError("slot " + std::to_string(slot) + " runs in the device's loop; release it first");
  }

  std::shared_ptr<const ModelDir> model_;
  EngineInfo info_;
  std::unique_ptr<Backend> backend_;
  TrunkGraph trunk_;
  std::optional<HeadsGraphs> heads_;
  bool state_is_fused_ = false;
  std::vector<std::int32_t> lengths_;  // committed positions by slot
  std::optional<TrackedLoop> loop_;    // where the backend has one
  VerifyPlan plan_;                    // of the last verify call, until it is committed
  std::vector<Token> tokens_;          // its rows'
  std::vector<float> states_;          // [rows, hidden]
  double seconds_ = 0.0;               // that it took
  double graph_seconds_ = 0.0;
};

}  // namespace

EngineInfo graph_engine_info(const std::string& name, const std::string& device, const ModelConfig& config,
                             const EngineOptions& options) {
  if (!options.isa.empty()) {
    throw ArgumentError("isa is '" + options.isa + "'; engine '" + name +
                        "' chooses its own kernels: leave it out");
  }
  if (options.two_stage_head.value_or(false)) {
    throw UnsupportedError("two_stage_head: engine '" + name + "' scores the whole vocabulary; leave it out");
  }
  return make_engine_info(name, device, config, options);
}

std::unique_ptr<Engine> open_graphs(std::shared_ptr<const ModelDir> model, EngineInfo info,
                                    std::unique_ptr<Backend> backend) {
  return std::make_unique<GraphEngine>(std::move(model), std::move(info), std::move(backend));
}

}  // namespace mtp_rt::graphs
