#include "sampling/score_row.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>

#include "mtp_rt/error.h"
#include "sampling/token_score.h"

namespace mtp_rt {
namespace {

constexpr float kLowest = -std::numeric_limits<float>::infinity();

/// Four floats. A loop with a running maximum vectorises only when spelt out: `?:` on these is one
/// instruction.
using Four = float __attribute__((vector_size(16)));

/// The highest of `count` values; NaN counts as lowest, and adds itself to `probe`.
float maximum(const float* values, std::size_t count, Four& probe) {
  std::array<Four, 4> best;
  best.fill(Four{kLowest, kLowest, kLowest, kLowest});
  std::size_t i = 0;
  for (; i + 16 <= count; i += 16) {
    std::array<Four, 4> x;
    std::memcpy(x.data(), values + i, sizeof x);
    for (std::size_t j = 0; j < 4; ++j) best[j] = x[j] > best[j] ? x[j] : best[j];
    probe += (x[0] + x[1]) + (x[2] + x[3]);
  }
  float top = kLowest;
  for (const float x : std::span(values, count).subspan(i)) {
    if (x > top) top = x;
    probe[0] += x;
  }
  for (const Four& lanes : best) {
    for (int j = 0; j < 4; ++j) top = std::max(top, lanes[j]);
  }
  return top;
}

bool is_nan(float x) { return x != x; }

}  // namespace

std::optional<Best> find_best(std::span<const float> logits) noexcept {
  constexpr std::size_t kStride = 1024;
  Best best{.token = -1, .logit = kLowest};
  std::size_t best_start = 0;
  Four probe{};
  for (std::size_t start = 0; start < logits.size(); start += kStride) {
    const float top = maximum(logits.data() + start, std::min(kStride, logits.size() - start), probe);
    if (top > best.logit) {
      best.logit = top;
      best_start = start;
    }
  }
  // A sum that is NaN may also come from infinities, so it only calls for a closer look.
  const bool suspicious = is_nan(probe[0] + probe[1] + probe[2] + probe[3]);
  if (best.logit > std::numeric_limits<float>::max() || best.logit == kLowest) return std::nullopt;
  if (suspicious && std::ranges::any_of(logits, is_nan)) return std::nullopt;
  const auto found =
      std::find(logits.begin() + static_cast<std::ptrdiff_t>(best_start), logits.end(), best.logit);
  best.token = static_cast<Token>(found - logits.begin());
  return best;
}

Best argmax(std::span<const float> logits) {
  if (const std::optional<Best> best = find_best(logits)) return *best;
  if (std::ranges::all_of(logits, [](float x) { return x == kLowest; })) {
    throw EngineError("logits: no token is allowed; every one is masked or -infinity");
  }
  throw EngineError("logits: a value is NaN or +infinity; the engine failed on this row");
}

void ScoreRow::assign(std::span<const float> logits, float best, float temperature) {
  size_ = logits.size();
  block_max_.resize((size_ + kBlock - 1) / kBlock);
  z_.resize(block_max_.size() * kBlock);
  const float scale = score_scale(temperature);
  for (std::size_t i = 0; i < size_; ++i) z_[i] = (logits[i] - best) * scale;
  std::fill(z_.begin() + static_cast<std::ptrdiff_t>(size_), z_.end(), kLowest);
  Four unused{};
  for (std::size_t b = 0; b < block_max_.size(); ++b) block_max_[b] = maximum(block(b), kBlock, unused);
}

double ScoreRow::total_mass() const {
  std::array<double, kBlock> sums{};
  std::array<double, kBlock> masses;
  for (std::size_t b = 0; b < block_max_.size(); ++b) {
    if (block_max_[b] < kMassless) continue;
    block_masses(block(b), masses.data());
    for (std::size_t i = 0; i < kBlock; ++i) sums[i] += masses[i];
  }
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

}  // namespace mtp_rt
