#include "engines/native/engine.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <map>
#include <string>
#include <system_error>
#include <utility>

#include "base/parallel.h"
#include "engines/call_checks.h"
#include "engines/engine_info.h"
#include "engines/native/batch.h"
#include "engines/native/heads.h"
#include "engines/native/kernels/select.h"
#include "engines/native/kv_cache.h"
#include "engines/native/packed_weights.h"
#include "engines/native/trunk.h"
#include "engines/timed.h"
#include "mtp_rt/error.h"

namespace mtp_rt::native {
namespace {

constexpr float kDefaultMargin = 8.0F;
constexpr float kDraftMargin = 4.0F;

EngineInfo make_info(const ModelConfig& c, const EngineOptions& options, const KernelTable& kernels) {
  if (options.provider != "cpu")
    throw ArgumentError("provider is '" + options.provider + "'; engine 'native' has only 'cpu'");
  EngineInfo info = make_engine_info("native", "cpu", c, options);
  info.isa = kernels.name;
  info.row_invariant = true;
  return info;
}

// A cache as exact as the layers: 8 bits where their activations have 8 bits.
KvShape kv_shape(const ModelConfig& c, const PackedWeights& weights) {
  const auto quantized = [](const Layer& layer) { return layer.qkv.takes_quantized; };
  const bool any = std::any_of(weights.layers().begin(), weights.layers().end(), quantized);
  return {any ? KvKind::q8 : KvKind::f32, c.layers, c.kv_heads, c.head_dim};
}

std::optional<float> margin(const ModelConfig& c, const EngineOptions& options) {
  if (!options.two_stage_head) return c.two_stage_margin;
  if (!*options.two_stage_head) return std::nullopt;
  return c.two_stage_margin.value_or(kDefaultMargin);
}

// Scores that rank drafts are no one's logits: in two stages, unless told otherwise, whatever the model says.
// On SmolLM2, a margin of 4 loses no draft and 0.01 of a chance; one of 2 loses drafts, too.
std::optional<float> heads_margin(const HeadsConfig& heads, const ModelConfig& c,
                                  const EngineOptions& options) {
  if (!heads.draft_vocab_size && !heads.own_unembedding) return margin(c, options);
  return options.two_stage_head.value_or(true) ? std::optional(kDraftMargin) : std::nullopt;
}

class NativeEngine final : public Engine, public Timed {
 public:
  NativeEngine(std::shared_ptr<const ModelDir> model, const EngineOptions& options)
      : model_(std::move(model)),
        kernels_(select_kernels(options.isa)),
        info_(make_info(model_->config(), options, kernels_)),
        pool_(info_.threads),
        weights_(*model_, kernels_, pool_),
        cache_(kv_shape(model_->config(), weights_), info_.slots, info_.context + info_.max_rows),
        trunk_(model_->config(), kernels_, weights_, pool_, cache_, info_.max_rows, info_.context,
               margin(model_->config(), options)) {
    const bool two_stage = weights_.head_is_q8() && margin(model_->config(), options).has_value();
    info_.weight_bytes =
        weights_.layer_bytes() + weights_.head_bytes() - (two_stage ? weights_.head_low_bytes() : 0);
    const std::optional<HeadsConfig>& heads = model_->config().extra_heads;
    if (!heads) return;
    heads_.emplace(*model_, *heads, kernels_, weights_, pool_, info_.slots, info_.context,
                   heads_margin(*heads, model_->config(), options));
    info_.extra_heads = heads->count;
    info_.head_bytes = heads_->bytes_per_depth();
    info_.acceptance = heads->acceptance;
  }

  [[nodiscard]] const EngineInfo& info() const noexcept override { return info_; }

  [[nodiscard]] std::int32_t length(Slot slot) const override { return cache_.length(checked(slot)); }

  void verify(std::span<const VerifyRow> rows, const VerifyOutputs& outputs) override {
    const auto start = std::chrono::steady_clock::now();
    Batch batch = plan_batch(rows, info_, [this](Slot slot) { return cache_.length(slot); });
    check_outputs(batch, outputs, info_);
    plan_attention(batch, trunk_.shape().kv_heads, trunk_.shape().group(), info_.threads);
    if (!batch.rows.empty()) trunk_.run(batch, cache_, outputs);
    batch_ = std::move(batch);
    seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  void commit(std::span<const KeptRows> kept) override {
    for (const auto& [segment, offsets] : plan_kept(kept, batch_)) {
      if (heads_) keep_for_heads(*heads_, segment, offsets);
      cache_.keep(segment.slot, offsets);
    }
    batch_ = {};
  }

  void draft(std::span<const DraftRow> rows, const DraftOutputs& outputs) override {
    if (!heads_) throw UnsupportedError("draft: the model has no extra heads; mtp-rt distill makes some");
    heads_->draft(plan_draft(rows, outputs, info_, [this](Slot slot) { return cache_.length(slot); }),
                  outputs);
  }

  void release(Slot slot) override {
    cache_.clear(checked(slot));
    if (heads_) heads_->clear(slot);
    std::erase_if(batch_.segments, [slot](const Segment& s) { return s.slot == slot; });
  }

  [[nodiscard]] std::map<std::string, double> seconds_by_phase() const override {
    static constexpr std::array<const char*, static_cast<std::size_t>(Phase::count)> kNames = {
        "embed", "qkv", "attention", "o", "mlp", "head"};
    std::map<std::string, double> named;
    double other = seconds_;
    for (std::size_t i = 0; i < kNames.size(); ++i) {
      named[kNames[i]] = trunk_.seconds()[i];
      other -= trunk_.seconds()[i];
    }
    named["other"] = other;
    return named;
  }

 private:
  [[nodiscard]] Slot checked(Slot slot) const { return in_range("slot", slot, 0, info_.slots - 1); }

  // Rows at `offsets` of a slot's rows in the last call.
  void keep_for_heads(Heads& heads, const Segment& segment, const std::vector<std::int32_t>& offsets) {
    for (const std::int32_t offset : offsets) {
      const int row = segment.first_row + offset;
      heads.keep(segment.slot, trunk_, row, batch_.rows[static_cast<std::size_t>(row)].token);
    }
  }

  std::shared_ptr<const ModelDir> model_;
  const KernelTable& kernels_;
  EngineInfo info_;
  ThreadPool pool_;
  PackedWeights weights_;
  KvCache cache_;
  Trunk trunk_;
  std::optional<Heads> heads_;
  Batch batch_;           // of the last verify call, until it is committed
  double seconds_ = 0.0;  // of the last verify call
};

}  // namespace

std::unique_ptr<Engine> open(std::shared_ptr<const ModelDir> model, const EngineOptions& options) {
  try {
    return std::make_unique<NativeEngine>(std::move(model), options);
  } catch (const std::system_error& error) {
    throw UnsupportedError("threads: the system refused to start " + std::to_string(options.threads) +
                           " threads (" + error.what() + "); ask for fewer");
  }
}

}  // namespace mtp_rt::native
