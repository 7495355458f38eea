// The loop's state in the GPU's memory, and one step of it: plain views that kernels take.
#pragma once

#include <cstdint>

#include "kernels/pick_types.h"
#include "mtp_rt/token.h"

namespace mtp_rt::cuda {

inline constexpr std::int32_t kMaxWidth = 128;  ///< Rows of one sequence in a step.
inline constexpr std::int32_t kMaxStops = 32;   ///< Stop tokens of one sequence.
inline constexpr std::int32_t kMaxBias = 512;   ///< Entries of a sequence's bias.

/// Whether a sequence goes on, and why not.
enum class Ending : std::int32_t { none, stop, length, error, empty };

/// One sequence. Its last committed token is not in the cache yet.
struct SlotState {
  PickParams params;
  std::int32_t length = 0;      // committed tokens, the prompt's included
  std::int32_t generated = 0;   // of these
  std::int32_t max_tokens = 0;  // of generated ones
  std::int32_t min_tokens = 0;  // stop tokens are forbidden before
  std::int32_t stop_size = 0;
  std::int32_t bias_size = 0;
  Ending ending = Ending::empty;
};

/// All sequences.
struct LoopState {
  SlotState* slots = nullptr;  // [slots]
  Token* tokens = nullptr;     // [slots, context]
  Tally* counts = nullptr;     // [slots, vocab]; null: no sequence has penalties
  Token* stops = nullptr;      // [slots, kMaxStops]
  Bias* bias = nullptr;        // [slots, kMaxBias]
  std::int32_t context = 0;
  std::int32_t vocab = 0;
};

/// The rows of a step: of each sequence its last committed token, then drafts, a tree as in acceptance.h.
///
/// A sequence that has ended, and what stands for none, takes part with rows at the cache's places from 0 on:
/// its cache is its own and may be overwritten.
struct StepRows {
  std::int32_t batch = 0;
  std::int32_t width = 0;                // rows of each sequence, 1 .. kMaxWidth
  const std::int32_t* slots = nullptr;   // [batch] distinct; -1: no sequence
  Token* drafts = nullptr;               // [batch, width - 1]
  std::int32_t* parents = nullptr;       // [batch, width - 1]
  std::int32_t* draft_counts = nullptr;  // [batch] drafts there are, at most width - 1
};

/// Scores of a step's rows.
struct StepScores {
  const float* logits = nullptr;  // [batch, width, vocab]
  float* scratch = nullptr;       // the same; used where penalties, bias or masks change a row
  const std::uint32_t* allowed =
      nullptr;  // [batch, width, ceil(vocab / 32)] what a grammar allows; null: all
};

/// What a step did for a sequence.
struct StepOutcome {
  std::int32_t count = 0;     // tokens committed
  std::int32_t accepted = 0;  // drafts that stood
  std::int32_t place = 0;     // the cache's place of the step's first row
  std::int32_t last_row = 0;  // the last row that stays: drafts start from its state
  Token error = 0;            // kBrokenRow or kNothingAllowed: nothing was committed
  Ending ending = Ending::empty;
};

/// Where a step writes.
struct StepResults {
  Token* picks = nullptr;           // [batch, width]
  Token* tokens = nullptr;          // [batch, width] committed ones first
  std::int32_t* kept = nullptr;     // [batch, width] rows that stay in the cache, first ones first, ascending
  std::int64_t* last = nullptr;     // [batch] the last committed token; null: not wanted
  StepOutcome* outcomes = nullptr;  // [batch]
};

/// The inputs of the verify graph (docs/exporting.md). Rows are written behind the filled places, so caches
/// have room for context + width - 1.
struct VerifyInputs {
  std::int64_t* tokens = nullptr;     // [batch, width]
  std::int64_t* positions = nullptr;  // [batch, width]
  std::int64_t* lengths = nullptr;    // [batch] places of the cache that are filled
  bool* tree = nullptr;  // [batch, width, width] whether a row sees another: ancestors and itself
};

}  // namespace mtp_rt::cuda
