// Accept and commit of one sequence, by one thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/host_device.h"
#include "decode/draft_walk.h"
#include "kernels/step_types.h"

namespace mtp_rt::cuda {

/// Whether `token` is one of a sequence's stop tokens.
MTP_RT_DEVICE inline bool is_stop(const LoopState& state, std::int32_t slot, Token token) {
  const Token* stops = state.stops + static_cast<std::size_t>(slot) * kMaxStops;
  for (std::int32_t i = 0; i < state.slots[slot].stop_size; ++i) {
    if (stops[i] == token) return true;
  }
  return false;
}

/// How many of `count` picks along an accepted path a sequence takes: within its budget, up to a stop token.
MTP_RT_DEVICE inline std::int32_t usable(const LoopState& state, std::int32_t slot, const Token* picks,
                                         std::int32_t count) {
  const SlotState& sequence = state.slots[slot];
  const std::int32_t wanted = sequence.max_tokens - sequence.generated;
  const std::int32_t room = state.context - sequence.length;
  const std::int32_t budget = wanted < room ? wanted : room;
  if (budget < count) count = budget;
  for (std::int32_t i = 0; i < count; ++i) {
    if (is_stop(state, slot, picks[i])) return i + 1;
  }
  return count;
}

/// Adds `count` tokens to a sequence, at least one.
MTP_RT_DEVICE inline void append(const LoopState& state, std::int32_t slot, const Token* tokens,
                                 std::int32_t count) {
  SlotState& sequence = state.slots[slot];
  const auto index = static_cast<std::size_t>(slot);
  Token* text = state.tokens + index * static_cast<std::size_t>(state.context);
  for (std::int32_t i = 0; i < count; ++i) {
    text[sequence.length + i] = tokens[i];
    if (state.counts == nullptr) continue;
    ++state.counts[index * static_cast<std::size_t>(state.vocab) + static_cast<std::size_t>(tokens[i])]
          .generated;
  }
  sequence.length += count;
  sequence.generated += count;
  if (is_stop(state, slot, tokens[count - 1])) {
    sequence.ending = Ending::stop;
  } else if (sequence.generated == sequence.max_tokens || sequence.length == state.context) {
    sequence.ending = Ending::length;
  }
}

/// Walks the drafts of a sequence, commits what it takes of the path and writes its results.
MTP_RT_DEVICE inline void commit_sequence(const LoopState& state, const StepRows& rows,
                                          const StepResults& results, std::int32_t sequence) {
  StepOutcome outcome;
  const std::int32_t slot = rows.slots[sequence];
  if (slot < 0 || state.slots[slot].ending != Ending::none) {
    if (slot >= 0) outcome.ending = state.slots[slot].ending;
    results.outcomes[sequence] = outcome;
    return;
  }
  const std::int32_t first = sequence * rows.width;
  const std::int32_t first_draft = sequence * (rows.width - 1);
  const Token* picks = results.picks + first;
  std::int32_t* kept = results.kept + first;
  Token* tokens = results.tokens + first;
  std::int32_t path = 0;
  const Token last = walk_drafts(
      rows.drafts + first_draft, rows.parents + first_draft, rows.draft_counts[sequence],
      [&](std::int32_t row) { return tokens[path - 1] = picks[row]; },
      [&](std::int32_t row) { kept[path++] = row; });
  outcome.place = state.slots[slot].length - 1;
  if (last < 0) {  // a pick that is none ends the walk
    outcome.error = last;
    state.slots[slot].ending = Ending::error;
  } else {
    outcome.count = usable(state, slot, tokens, path);
    outcome.accepted = path - 1 < outcome.count ? path - 1 : outcome.count;
    outcome.last_row = kept[outcome.count - 1];
    append(state, slot, tokens, outcome.count);
    if (results.last != nullptr) results.last[sequence] = tokens[outcome.count - 1];
  }
  outcome.ending = state.slots[slot].ending;
  results.outcomes[sequence] = outcome;
  rows.draft_counts[sequence] = 0;  // these drafts have had their turn
}

}  // namespace mtp_rt::cuda
