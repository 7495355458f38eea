// pick() (mtp_rt/sampling.h) by one block of threads: the same token as the host's.
#pragma once

#include <cstdint>

#include "base/host_device.h"
#include "base/math.h"
#include "kernels/adjust.h"
#include "kernels/block.h"
#include "kernels/pick_types.h"
#include "kernels/score_row.h"
#include "kernels/select.h"
#include "sampling/cut.h"
#include "sampling/token_score.h"

namespace mtp_rt::cuda {

/// The highest logit that a thread has seen.
struct HighestLogit {
  float logit;
  std::int32_t entry;
  bool broken;  // it has seen NaN as well
};

/// The highest log-probability plus noise that a thread has seen.
struct NoisiestEntry {
  double score;
  std::int32_t entry;
};

/// Shared memory of a pick.
template <std::int32_t kThreads, std::int32_t kListed>
struct PickShared {
  union {
    HighestLogit highest[kThreads];
    NoisiestEntry noisiest[kThreads];
    SelectShared<kListed> select;
  };
  double likely_score;
};

/// values[0] = the highest logit, the lowest index among equals.
template <typename Block>
MTP_RT_DEVICE void find_highest(const Block& block, const float* logits, std::int32_t size,
                                HighestLogit* values) {
  block.phase([&](std::int32_t thread) {
    HighestLogit mine{-kInfinity, 0, false};
    for (std::int32_t i = thread; i < size; i += block.threads()) {
      const float logit = logits[i];
      if (logit > mine.logit) mine = {logit, i, mine.broken};
      mine.broken |= logit != logit;
    }
    values[thread] = mine;
  });
  fold(block, values, [](HighestLogit a, HighestLogit b) {
    const bool second = b.logit > a.logit || (b.logit == a.logit && b.entry < a.entry);
    const HighestLogit best = second ? b : a;
    return HighestLogit{best.logit, best.entry, a.broken || b.broken};
  });
}

/// What top-k, then top-p, then min-p leave of a row.
template <typename Block, std::int32_t kListed>
[[nodiscard]] MTP_RT_DEVICE Cut filter(const Block& block, const ScoreRow& row, const PickParams& params,
                                       SelectShared<kListed>& shared) {
  Cut cut;
  if (params.top_k > 0 && params.top_k < row.size) {
    const CountGoal goal{static_cast<std::uint64_t>(params.top_k)};
    cut.tighten(Select<Block, CountGoal, kListed>(block, row, cut, goal, shared).find());
  }
  if (params.top_p < 1.0F) {
    const Cut before = cut;
    cut.tighten(Select<Block, MassGoal, kListed>(block, row, before, {params.top_p}, shared).find());
  }
  if (params.min_p > 0.0F) {
    const auto floor = min_p_floor(params.min_p);
    cut.tighten({{floor, std::numeric_limits<Token>::max()}});
  }
  return cut;
}

/// Looks for the kept entry with the highest log-probability plus noise. Noise is drawn only where it can
/// still decide, which changes nothing about what is found.
class NoiseSearch {
 public:
  MTP_RT_DEVICE NoiseSearch(const ScoreRow& row, const Cut& cut, const PickRow& source, std::uint64_t seed,
                            std::int32_t likely, double likely_score)
      : row_(row), cut_(cut), source_(source), seed_(seed), likely_(likely), best_{likely_score, likely} {
    needed_ = static_cast<float>(best_.score);
  }

  /// The best of entries 4 * thread .. 4 * thread + 3, and so on in steps of all threads: four share random
  /// bits.
  MTP_RT_DEVICE NoisiestEntry quads(std::int32_t thread, std::int32_t threads) {
    for (std::int32_t first = 4 * thread; first < row_.size; first += 4 * threads) {
      float z[4];
      bool hopeful = false;
      for (std::int32_t lane = 0; lane < 4; ++lane) {
        z[lane] = first + lane < row_.size ? row_.z(first + lane) : -kInfinity;
        hopeful |= hope(z[lane], first + lane);
      }
      if (!hopeful) continue;
      const PhiloxBits bits = philox4x32(noise_counter(source_.position, first / 4), seed_);
      for (std::int32_t lane = 0; lane < 4; ++lane) visit(z[lane], first + lane, bits.lane[lane]);
    }
    return best_;
  }

  /// The same where the entries' tokens are a selection of the vocabulary.
  MTP_RT_DEVICE NoisiestEntry singles(std::int32_t thread, std::int32_t threads) {
    for (std::int32_t i = thread; i < row_.size; i += threads) {
      const float z = row_.z(i);
      if (hope(z, i)) visit(z, i, noise_word(seed_, source_.position, source_.ids[i]));
    }
    return best_;
  }

 private:
  static constexpr float kMaxNoise = 22.9F;

  [[nodiscard]] MTP_RT_DEVICE bool hope(float z, std::int32_t entry) const {
    return z + kMaxNoise >= needed_ && cut_.keeps({z, entry});
  }

  MTP_RT_DEVICE void visit(float z, std::int32_t entry, std::uint32_t bits) {
    if (entry == likely_ || !may_reach(z, needed_, bits) || !cut_.keeps({z, entry})) return;
    const double score = static_cast<double>(z) + gumbel(bits);
    if (score > best_.score || (score == best_.score && entry < best_.entry)) {
      best_ = {score, entry};
      needed_ = static_cast<float>(score);
    }
  }

  const ScoreRow& row_;
  const Cut& cut_;
  const PickRow& source_;
  std::uint64_t seed_;
  std::int32_t likely_;
  NoisiestEntry best_;
  float needed_;
};

/// values[0] = the kept entry with the highest score, the lowest index among equals. `likely` is the best
/// entry, whose z is 0: every thread begins with its score.
template <typename Block>
MTP_RT_DEVICE void find_noisiest(const Block& block, const ScoreRow& row, const Cut& cut,
                                 const PickRow& source, std::uint64_t seed, std::int32_t likely,
                                 double& likely_score, NoisiestEntry* values) {
  block.phase([&](std::int32_t thread) {
    if (thread != 0) return;
    const Token token = source.ids == nullptr ? likely : source.ids[likely];
    likely_score = 0.0 + gumbel(noise_word(seed, source.position, token));
  });
  block.phase([&](std::int32_t thread) {
    NoiseSearch search(row, cut, source, seed, likely, likely_score);
    values[thread] = source.ids == nullptr ? search.quads(thread, block.threads())
                                           : search.singles(thread, block.threads());
  });
  fold(block, values, [](NoisiestEntry a, NoisiestEntry b) {
    const bool second = b.score > a.score || (b.score == a.score && b.entry < a.entry);
    return second ? b : a;
  });
}

/// The token that the model itself chooses after a row, or kBrokenRow or kNothingAllowed.
template <typename Block, std::int32_t kThreads, std::int32_t kListed>
[[nodiscard]] MTP_RT_DEVICE Token pick_row(const Block& block, const PickRow& source,
                                           const PickParams& params, PickShared<kThreads, kListed>& shared) {
  const float* logits = adjust(block, source, params);
  find_highest(block, logits, source.vocab, shared.highest);
  const HighestLogit highest = block.read(shared.highest[0]);
  if (highest.broken || highest.logit > kLargest) return kBrokenRow;
  if (highest.logit == -kInfinity) return kNothingAllowed;
  std::int32_t entry = highest.entry;
  if (params.temperature != 0.0F) {
    const ScoreRow row(logits, source.vocab, highest.logit, params.temperature);
    const Cut cut = filter(block, row, params, shared.select);
    find_noisiest(block, row, cut, source, params.seed, highest.entry, shared.likely_score, shared.noisiest);
    entry = block.read(shared.noisiest[0]).entry;
  }
  return source.ids == nullptr ? entry : source.ids[entry];
}

}  // namespace mtp_rt::cuda
