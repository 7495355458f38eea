// Picks of a step's rows, and of the extra heads' scores.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/host_device.h"
#include "kernels/pick_body.h"
#include "kernels/step_types.h"

namespace mtp_rt::cuda {

/// Shared memory of one row's pick.
template <std::int32_t kThreads, std::int32_t kListed>
struct PickStepShared {
  PickShared<kThreads, kListed> pick;
  Token path[kMaxWidth];
  std::int32_t depth;
};

/// Fills shared.path with the drafts on the way to `row`, itself included.
template <typename Block, typename Shared>
MTP_RT_DEVICE void find_path(const Block& block, const StepRows& rows, std::int32_t sequence,
                             std::int32_t row, Shared& shared) {
  block.phase([&](std::int32_t thread) {
    if (thread != 0) return;
    const std::int32_t first = sequence * (rows.width - 1) - 1;  // of this sequence's nodes; node = row - 1
    std::int32_t depth = 0;
    for (std::int32_t r = row; r > 0; r = rows.parents[first + r]) ++depth;
    shared.depth = depth;
    for (std::int32_t r = row; r > 0; r = rows.parents[first + r])
      shared.path[--depth] = rows.drafts[first + r];
  });
}

/// results.picks of one row of a sequence; rows that hold no draft have none.
template <typename Block, std::int32_t kThreads, std::int32_t kListed>
MTP_RT_DEVICE void pick_step_row(const Block& block, const LoopState& state, const StepRows& rows,
                                 const StepScores& scores, std::int32_t sequence, std::int32_t row,
                                 Token* picks, PickStepShared<kThreads, kListed>& shared) {
  const std::int32_t slot_index = rows.slots[sequence];
  if (slot_index < 0 || row > rows.draft_counts[sequence]) return;
  const SlotState& slot = state.slots[slot_index];
  if (slot.ending != Ending::none) return;
  find_path(block, rows, sequence, row, shared);
  const auto at = static_cast<std::size_t>(sequence * rows.width + row);
  const auto vocab = static_cast<std::size_t>(state.vocab);
  PickRow source;
  source.logits = scores.logits + at * vocab;
  source.scratch = scores.scratch + at * vocab;
  source.vocab = state.vocab;
  source.path = shared.path;
  source.path_size = block.read(shared.depth);
  source.position = std::int64_t{slot.length} + source.path_size;
  const auto index = static_cast<std::size_t>(slot_index);
  if (state.counts != nullptr) source.counts = state.counts + index * vocab;
  source.bias = state.bias + index * kMaxBias;
  source.bias_size = slot.bias_size;
  source.forbidden = state.stops + index * kMaxStops;
  if (slot.generated + source.path_size < slot.min_tokens) source.forbidden_size = slot.stop_size;
  if (scores.allowed != nullptr) source.allowed = scores.allowed + at * ((vocab + 31) / 32);
  const Token token = pick_row(block, source, slot.params, shared.pick);
  block.phase([&](std::int32_t thread) {
    if (thread == 0) picks[at] = token;
  });
}

/// The extra heads' scores of one depth.
struct DraftScores {
  const float* logits = nullptr;  // [batch, vocab], the sequences' rows `stride` values apart
  const Token* ids = nullptr;     // [vocab] tokens that are scored, ascending; null: all
  std::int32_t vocab = 0;
  std::int32_t stride = 0;
  std::int32_t depth = 0;        // 0: the first draft
  std::int64_t* next = nullptr;  // [batch] the drafts, which the next depth reads; null: not wanted
};

/// Writes the draft of a depth: the token that the model would pick if its scores were these, with the noise
/// that it will draw. A draft follows the one before, so drafts are a chain.
template <typename Block, std::int32_t kThreads, std::int32_t kListed>
MTP_RT_DEVICE void pick_draft(const Block& block, const LoopState& state, const StepRows& rows,
                              const DraftScores& scores, std::int32_t sequence,
                              PickShared<kThreads, kListed>& shared) {
  const std::int32_t slot_index = rows.slots[sequence];
  if (slot_index < 0) return;
  const SlotState& slot = state.slots[slot_index];
  if (slot.ending != Ending::none) return;
  PickRow source;
  source.logits =
      scores.logits + static_cast<std::size_t>(sequence) * static_cast<std::size_t>(scores.stride);
  source.vocab = scores.vocab;
  source.ids = scores.ids;
  source.position = std::int64_t{slot.length} + scores.depth;
  PickParams params = slot.params;
  params.presence_penalty = params.frequency_penalty = 0.0F;
  params.repetition_penalty = 1.0F;
  const Token token = pick_row(block, source, params, shared);
  block.phase([&](std::int32_t thread) {
    if (thread != 0) return;
    const std::int32_t at = sequence * (rows.width - 1) + scores.depth;
    const Token any = scores.ids == nullptr ? 0 : scores.ids[0];  // of scores that are not numbers
    rows.drafts[at] = token < 0 ? any : token;
    if (scores.next != nullptr) scores.next[sequence] = rows.drafts[at];
    rows.parents[at] = scores.depth;
    rows.draft_counts[sequence] = scores.depth + 1;
  });
}

}  // namespace mtp_rt::cuda
