#include "mtp_rt/cost_curve.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <limits>
#include <string>

#include "mtp_rt/error.h"
#include "mtp_rt/sampling.h"

namespace mtp_rt {
namespace {

/// The token at a position: of `text` as far as it goes, then any.
Token token_at(std::span<const Token> text, const EngineInfo& info, std::int32_t position) {
  if (static_cast<std::size_t>(position) < text.size()) return text[static_cast<std::size_t>(position)];
  return static_cast<Token>(std::int64_t{position} * 7919 % info.vocab_size);
}

/// Slots filled for a measurement; empties them again whatever happens.
class FilledSlots {
 public:
  FilledSlots(Engine& engine, std::span<const Slot> slots, std::span<const Token> text)
      : engine_(engine), slots_(slots), text_(text) {
    for (const Slot slot : slots) {
      if (engine.length(slot) != 0) {
        throw ArgumentError("slots: slot " + std::to_string(slot) + " is in use; release it first");
      }
    }
  }
  FilledSlots(const FilledSlots&) = delete;
  FilledSlots& operator=(const FilledSlots&) = delete;
  ~FilledSlots() {
    for (const Slot slot : slots_) {
      try {
        engine_.release(slot);
      } catch (const std::exception&) {  // the measurement's own error says what went wrong
      }
    }
  }

  /// Commits positions 0 .. context - 1 of each slot, one slot after the other.
  void fill(std::int32_t context) {
    for (const Slot& slot : slots_) {
      const std::span<const Slot> one(&slot, 1);
      for (std::int32_t start = 0; start < context;) {
        const std::int32_t count = std::min(engine_.info().max_rows, context - start);
        engine_.verify(chain_rows(one, start, count, false), {});
        std::vector<std::int32_t> kept(static_cast<std::size_t>(count));
        for (std::size_t i = 0; i < kept.size(); ++i) kept[i] = static_cast<std::int32_t>(i);
        const KeptRows rows{slot, kept};
        engine_.commit({&rows, 1});
        start += count;
      }
    }
  }

  /// Seconds of a draft call of the first `count` slots, `depths` deep, behind `context` positions.
  double draft(std::size_t count, std::int32_t depths, std::int32_t context) {
    const SamplingParams params;
    std::vector<DraftRow> rows;
    for (const Slot slot : slots_.first(count)) {
      rows.push_back({.slot = slot,
                      .token = token_at(text_, engine_.info(), context),
                      .count = depths,
                      .params = &params});
    }
    std::vector<Token> tokens(count * static_cast<std::size_t>(depths));
    std::vector<float> chances(tokens.size());
    const auto start = std::chrono::steady_clock::now();
    engine_.draft(rows, {tokens, chances});
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  /// Seconds of one verify call of `width` rows a slot, all with logits.
  double verify(std::int32_t width, std::int32_t context) {
    const std::vector<VerifyRow> rows = chain_rows(slots_, context, width, true);
    logits_.resize(rows.size() * static_cast<std::size_t>(engine_.info().vocab_size));
    VerifyOutputs outputs;
    outputs.logits = logits_;
    const auto start = std::chrono::steady_clock::now();
    engine_.verify(rows, outputs);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

 private:
  /// A chain of `width` rows behind position `start` of each slot.
  [[nodiscard]] std::vector<VerifyRow> chain_rows(std::span<const Slot> slots, std::int32_t start,
                                                  std::int32_t width, bool wants_logits) const {
    std::vector<VerifyRow> rows;
    for (const Slot slot : slots) {
      for (std::int32_t i = 0; i < width; ++i) {
        rows.push_back({.slot = slot,
                        .token = token_at(text_, engine_.info(), start + i),
                        .position = start + i,
                        .parent = i == 0 ? -1 : static_cast<std::int32_t>(rows.size()) - 1,
                        .wants_logits = wants_logits});
      }
    }
    return rows;
  }

  Engine& engine_;
  std::span<const Slot> slots_;
  std::span<const Token> text_;
  std::vector<float> logits_;
};

constexpr std::int32_t kContext = 64;
constexpr std::int32_t kRounds = 9;
constexpr double kLeastTime = 1e-6;  // ms; a clock may be too coarse for a tiny model

void check_measure(const EngineInfo& info, std::int32_t width, std::int32_t context, std::size_t slots) {
  if (width < 1) throw ArgumentError("width: " + std::to_string(width) + " is below 1");
  if (context < 0) throw ArgumentError("context: " + std::to_string(context) + " is negative");
  const std::int64_t rows = std::int64_t{width} * static_cast<std::int64_t>(slots);
  if (rows > info.max_rows || std::int64_t{context} + width > info.context) {
    throw CapacityError("width: " + std::to_string(rows) + " rows behind " + std::to_string(context) +
                        " tokens do not fit an engine of " + std::to_string(info.max_rows) +
                        " rows and a context of " + std::to_string(info.context));
  }
}

}  // namespace

std::vector<Token> sample_text(Engine& engine, std::int32_t length, Slot slot) {
  check_measure(engine.info(), 1, length - 1, 1);
  const FilledSlots emptied(engine, {&slot, 1}, {});  // refuses a slot in use, empties it at the end
  SamplingParams params;
  params.temperature = 1.0F;
  std::vector<float> logits(static_cast<std::size_t>(engine.info().vocab_size));
  std::vector<Token> text{0};
  while (static_cast<std::int32_t>(text.size()) < length) {
    const auto position = static_cast<std::int32_t>(text.size()) - 1;
    const VerifyRow row{.slot = slot, .token = text.back(), .position = position, .wants_logits = true};
    engine.verify({&row, 1}, {.logits = logits, .states = {}, .taps = {}, .tapped = {}});
    const std::int32_t first = 0;
    const KeptRows kept{slot, {&first, 1}};
    engine.commit({&kept, 1});
    text.push_back(pick(logits, {.counts = {}, .allowed = {}, .position = position + 1}, params));
  }
  return text;
}

std::vector<double> time_verify(Engine& engine, std::int32_t width, std::int32_t context, std::int32_t repeat,
                                std::span<const Slot> slots, std::span<const Token> text) {
  check_measure(engine.info(), width, context, slots.size());
  if (repeat < 1) throw ArgumentError("repeat: " + std::to_string(repeat) + " is below 1");
  FilledSlots filled(engine, slots, text);
  filled.fill(context);
  filled.verify(width, context);  // warm-up
  std::vector<double> times;
  for (std::int32_t i = 0; i < repeat; ++i) times.push_back(filled.verify(width, context));
  return times;
}

std::vector<double> measure_costs(Engine& engine, std::int32_t max_width, Slot slot) {
  const EngineInfo& info = engine.info();
  if (max_width < 1) throw ArgumentError("max_width: " + std::to_string(max_width) + " is below 1");
  const std::int32_t widest = std::min({max_width, info.max_rows, info.context});
  const std::int32_t context = std::min(kContext, info.context - widest);
  const std::vector<Token> text = sample_text(engine, context + widest, slot);
  FilledSlots filled(engine, {&slot, 1}, text);
  filled.fill(context);
  filled.verify(widest, context);  // warm-up
  std::vector<double> fastest(static_cast<std::size_t>(widest), std::numeric_limits<double>::infinity());
  for (std::int32_t round = 0; round < kRounds; ++round) {
    for (std::int32_t width = 1; width <= widest; ++width) {
      double& time = fastest[static_cast<std::size_t>(width) - 1];
      time = std::min(time, std::max(1e3 * filled.verify(width, context), kLeastTime));
    }
  }
  return fastest;
}

std::vector<double> measure_draft_costs(Engine& engine, std::span<const Slot> slots) {
  constexpr std::int32_t kDepths = 4;
  const EngineInfo& info = engine.info();
  if (info.extra_heads == 0 || slots.empty() || info.context < 2) return {};
  const std::int32_t depths = std::min(kDepths, info.extra_heads);
  const std::int32_t context = std::min(kContext, info.context - 1);
  const std::vector<Token> text = sample_text(engine, context + 1, slots.front());
  FilledSlots filled(engine, slots, text);
  filled.fill(context);
  filled.draft(slots.size(), depths, context);  // warm-up
  std::vector<double> fastest(slots.size(), std::numeric_limits<double>::infinity());
  for (std::int32_t round = 0; round < kRounds; ++round) {
    for (std::size_t count = 1; count <= slots.size(); ++count) {
      const double time = 1e3 * filled.draft(count, depths, context) / depths;
      fastest[count - 1] = std::min(fastest[count - 1], std::max(time, kLeastTime));
    }
  }
  return fastest;
}

}  // namespace mtp_rt
