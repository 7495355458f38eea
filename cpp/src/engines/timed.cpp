#include "engines/timed.h"

#include <algorithm>
#include <vector>

#include "mtp_rt/error.h"

namespace mtp_rt {
namespace {

// A chain of `n` rows behind the committed positions of slot 0.
std::vector<VerifyRow> chain(const Engine& engine, std::span<const Token> text, int n, bool wants_logits) {
  std::vector<VerifyRow> rows(static_cast<std::size_t>(n));
  const std::int32_t start = engine.length(0);
  for (std::int32_t i = 0; i < n; ++i) {
    const auto at = static_cast<std::size_t>(start + i);
    const Token token = at < text.size() ? text[at] : (start + i) % engine.info().vocab_size;
    rows[static_cast<std::size_t>(i)] = {0, token, start + i, i - 1, wants_logits, false};
  }
  return rows;
}

void fill_context(Engine& engine, std::span<const Token> text, int context) {
  while (engine.length(0) < context) {
    const int n = std::min(engine.info().max_rows, context - engine.length(0));
    engine.verify(chain(engine, text, n, false), {});
    std::vector<std::int32_t> kept(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < kept.size(); ++i) kept[i] = static_cast<std::int32_t>(i);
    const KeptRows rows{0, kept};
    engine.commit({&rows, 1});
  }
}

}  // namespace

std::map<std::string, double> split_times(Engine& engine, int width, int context, int repeat,
                                          std::span<const Token> text) {
  const auto* timed = dynamic_cast<const Timed*>(&engine);
  if (timed == nullptr)
    throw UnsupportedError("engine '" + engine.info().name + "' does not time its phases");
  if (width < 1 || width > engine.info().max_rows || context < 0 || context + width > engine.info().context ||
      repeat < 1) {
    throw ArgumentError("split_times: width must be 1 .. " + std::to_string(engine.info().max_rows) +
                        ", context + width at most " + std::to_string(engine.info().context) +
                        ", repeat at least 1");
  }
  engine.release(0);
  fill_context(engine, text, context);
  const std::vector<VerifyRow> rows = chain(engine, text, width, true);
  std::vector<float> logits(rows.size() * static_cast<std::size_t>(engine.info().vocab_size));
  std::map<std::string, std::vector<double>> samples;
  for (int i = 0; i < repeat; ++i) {
    engine.verify(rows, {.logits = logits, .states = {}, .taps = {}, .tapped = {}});
    for (const auto& [phase, seconds] : timed->seconds_by_phase()) samples[phase].push_back(seconds * 1e3);
  }
  engine.release(0);
  std::map<std::string, double> medians;
  for (auto& [phase, values] : samples) {
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    medians[phase] = *middle;
  }
  return medians;
}

}  // namespace mtp_rt
