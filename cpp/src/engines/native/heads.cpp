#include "engines/native/heads.h"

#include <algorithm>

#include "engines/native/draft_step.h"

namespace mtp_rt::native {
namespace {

constexpr int kMaxSequencesAtOnce = 64;
constexpr int kMaxRowsAtOnce = 128;
constexpr int kMaxPending = 32;  // positions of a slot that wait to become final in the cache

int capacity(const HeadsWindow& window) { return window.attends ? window.open + kMaxPending : 1; }

std::size_t state_size(const ModelConfig& c, const HeadsConfig& heads) {
  return static_cast<std::size_t>(c.hidden_size) * std::max<std::size_t>(1, heads.taps.size());
}

// A cache as exact as the heads' layers, as the trunk has one.
KvShape cache_shape(const ModelConfig& c, const HeadsConfig& heads, const HeadWeights& weights) {
  const bool attends = heads.body == HeadBody::block;
  const bool quantized = weights.module(0).block.qkv.takes_quantized;
  return {quantized ? KvKind::q8 : KvKind::f32, attends ? heads.modules() : 0, c.kv_heads, c.head_dim};
}

}  // namespace

Heads::Heads(const ModelDir& model, const HeadsConfig& heads, const KernelTable& kernels,
             const PackedWeights& trunk, ThreadPool& pool, int slots, int context,
             std::optional<float> two_stage_margin)
    : config_(model.config()),
      heads_(heads),
      kernels_(kernels),
      trunk_(trunk),
      pool_(pool),
      weights_(model, heads_, trunk, kernels, pool),
      two_stage_margin_(two_stage_margin),
      window_(heads_),
      memory_(slots, capacity(window_), state_size(config_, heads_)),
      cache_(cache_shape(config_, heads_, weights_), slots, context + heads_.count),
      frequencies_(rotation_frequencies(config_)),
      workspace_(
          config_, heads_, cache_, window_.attends ? kMaxRowsAtOnce : std::min(slots, kMaxSequencesAtOnce),
          std::min(slots, kMaxSequencesAtOnce), context + heads_.count, pool.threads(), weights_.scores()),
      context_{kernels,
               pool,
               {config_.heads, config_.kv_heads, config_.head_dim},
               config_.rms_norm_eps,
               frequencies_,
               workspace_.layer} {}

void Heads::keep(Slot slot, const Trunk& trunk, int row, Token token) {
  if (!window_.attends) {
    memory_.drop(slot, memory_.count(slot));
  } else if (memory_.count(slot) == memory_.capacity()) {
    finish_positions(slot);
  }
  trunk.copy_state(row, memory_.append(slot, token));
}

// Writes the final keys and values of all positions that can have them: all tokens that they read are known.
void Heads::finish_positions(Slot slot) {
  const int n = memory_.count(slot) - window_.open;
  std::vector<HeadsStage> stages;
  for (int depth = 0; depth < heads_.modules(); ++depth)
    plan(stages.emplace_back(plan_flush(slot, n, memory_, depth)));
  run({}, stages, {});
  memory_.drop(slot, n);
}

void Heads::plan(HeadsStage& stage) const {
  if (!window_.attends) return;
  stage.batch.window = heads_.window.value_or(0);
  plan_attention(stage.batch, context_.shape.kv_heads, context_.shape.group(), pool_.threads());
}

std::size_t Heads::sequences_at_once(std::span<const HeadRow> rows) const noexcept {
  std::size_t n = 0;
  for (int left = kMaxRowsAtOnce; n < std::min<std::size_t>(rows.size(), kMaxSequencesAtOnce); ++n) {
    left -= window_.attends ? memory_.count(rows[n].slot) : 1;
    if (left < 0) break;
  }
  return n;
}

void Heads::draft(std::span<const HeadRow> rows, const DraftOutputs& outputs) {
  while (!rows.empty()) {
    const std::span<const HeadRow> part = rows.first(sequences_at_once(rows));
    std::vector<HeadsStage> stages;
    for (int depth = 0; depth < part.front().count; ++depth) {
      plan(stages.emplace_back(plan_stage(part, memory_, window_, depth)));
    }
    run(part, stages, outputs);
    finish_chances(part, outputs);
    for (const HeadRow& row : part) {
      const bool all_modules_ran = heads_.shared || row.count == heads_.count;
      if (all_modules_ran) memory_.drop(row.slot, std::max(0, memory_.count(row.slot) - window_.open));
    }
    rows = rows.subspan(part.size());
  }
}

void Heads::run(std::span<const HeadRow> rows, std::span<const HeadsStage> stages,
                const DraftOutputs& outputs) {
  pool_.run([&](int thread) { DraftStep(*this, rows, stages, outputs, thread).run(); });
}

// At temperature 0 the step leaves scores in place of chances.
void Heads::finish_chances(std::span<const HeadRow> rows, const DraftOutputs& outputs) {
  for (std::size_t r = 0; r < rows.size(); ++r) {
    if (rows[r].params->temperature != 0.0F) continue;
    const auto width = static_cast<std::size_t>(rows[r].width);
    for (std::size_t depth = 0; depth < static_cast<std::size_t>(rows[r].count); ++depth) {
      to_probabilities(workspace_.softmax_of(r, depth),
                       outputs.chances.subspan(rows[r].output + depth * width, width));
    }
  }
}

}  // namespace mtp_rt::native
