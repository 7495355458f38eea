// The GPU memory behind the loop's state and the steps of one shape.
#pragma once

#include <compare>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/step_types.h"
#include "loop/slot_start.h"
#include "runtime/memory.h"

namespace mtp_rt::cuda {

/// State of all sequences; used by one thread at a time.
class LoopMemory {
 public:
  /// Throws CapacityError where the GPU's memory does not suffice.
  LoopMemory(std::int32_t slots, std::int32_t context, std::int32_t vocab);

  [[nodiscard]] LoopState view() const noexcept;

  /// Puts a sequence into a slot, behind what `stream` does. The memory of counts is taken when the first one
  /// with penalties comes, so graphs that were captured before hold another view: compare has_counts().
  /// Throws ArgumentError on a slot out of range, else as slot_start() does.
  void admit(Slot slot, const Request& request, std::span<const Token> tokens, cudaStream_t stream);

  /// Ends a slot's sequence, behind what `stream` does.
  void release(Slot slot, cudaStream_t stream);

  [[nodiscard]] bool has_counts() const noexcept { return counts_.size() > 0; }

  /// How a slot's sequence stands as far as the host was told; empty, too, outside the slots.
  [[nodiscard]] Ending ending(Slot slot) const noexcept;

  /// Tells how a step left a slot's sequence.
  void set_ending(Slot slot, Ending ending) { endings_[static_cast<std::size_t>(slot)] = ending; }

 private:
  void check_slot(Slot slot) const;

  std::vector<Ending> endings_;  // by slot
  std::int32_t context_;
  std::int32_t vocab_;
  DeviceBuffer<SlotState> slots_;
  DeviceBuffer<Token> tokens_;
  DeviceBuffer<Tally> counts_;
  DeviceBuffer<Token> stops_;
  DeviceBuffer<Bias> bias_;
};

/// Neighbours among the sequences of a step, and the rows of each.
struct StepPart {
  std::int32_t first = 0;
  std::int32_t count = 1;
  std::int32_t width = 1;

  auto operator<=>(const StepPart&) const = default;
};

/// Rows, results and inputs of the steps of one batch, and the pinned memory that they pass through.
///
/// A step has 1 .. `width` rows of each sequence; `depths` may be drafted behind it. Its parts run one after
/// the other: each has pinned memory of its own, and all use the same memory of the GPU from its beginning.
class StepMemory {
 public:
  StepMemory(std::int32_t batch, std::int32_t width, std::int32_t depths);

  [[nodiscard]] StepPart all() const noexcept { return {0, batch_, width_}; }

  /// The rows of a part. Drafts of all depths have room where its width is depths + 1.
  [[nodiscard]] StepRows rows(const StepPart& part) const noexcept;
  [[nodiscard]] StepRows rows() const noexcept { return rows(all()); }
  [[nodiscard]] StepResults results()
      const noexcept;  // last is what the heads draft behind: DraftScores::next
  [[nodiscard]] VerifyInputs inputs() const noexcept;

  /// Sets the slots of the next steps [batch], without drafts and tokens to draft behind, behind what
  /// `stream` does.
  void set_slots(std::span<const std::int32_t> slots, cudaStream_t stream);

  /// Drafts of a part's sequence, as many as parents: laid into pinned memory for send_drafts(). The last
  /// step's copies have run.
  void put_drafts(const StepPart& part, std::int32_t sequence, std::span<const Token> drafts,
                  std::span<const std::int32_t> parents);

  /// Enqueues the copies of what put_drafts() laid there for all sequences of a part.
  void send_drafts(const StepPart& part, cudaStream_t stream);

  /// Enqueues copies of a part's outcomes and committed tokens into pinned memory.
  void read_back(const StepPart& part, cudaStream_t stream);

  /// Enqueues a copy of its drafts, of which the part's width is one more.
  void read_back_drafts(const StepPart& part, cudaStream_t stream);

  /// What read_back() brought of all sequences, once the stream has come so far.
  [[nodiscard]] std::span<const StepOutcome> outcomes() const noexcept { return host_outcomes_.values(); }

  /// The same: the committed tokens [width] of a part's sequence, and its drafts [width - 1].
  [[nodiscard]] std::span<const Token> tokens(const StepPart& part, std::int32_t sequence) const noexcept;
  [[nodiscard]] std::span<const Token> drafted(const StepPart& part, std::int32_t sequence) const noexcept;

 private:
  [[nodiscard]] std::size_t drafts_at(const StepPart& part) const noexcept;

  std::int32_t batch_;
  std::int32_t width_;
  std::int32_t draft_room_;  // of a sequence
  DeviceBuffer<std::int32_t> slots_;
  DeviceBuffer<Token> drafts_;
  DeviceBuffer<std::int32_t> parents_;
  DeviceBuffer<std::int32_t> draft_counts_;
  DeviceBuffer<Token> picks_;
  DeviceBuffer<Token> tokens_;
  DeviceBuffer<std::int32_t> kept_;
  DeviceBuffer<StepOutcome> outcomes_;
  DeviceBuffer<std::int64_t> draft_tokens_;
  DeviceBuffer<std::int64_t> input_tokens_;
  DeviceBuffer<std::int64_t> positions_;
  DeviceBuffer<std::int64_t> lengths_;
  DeviceBuffer<bool> tree_;
  PinnedBuffer<Token> host_drafts_;
  PinnedBuffer<std::int32_t> host_parents_;
  PinnedBuffer<std::int32_t> host_counts_;
  PinnedBuffer<StepOutcome> host_outcomes_;
  PinnedBuffer<Token> host_tokens_;
  PinnedBuffer<Token> host_drafted_;
};

/// Where verify writes the scores of up to `rows` rows; steps that run one after the other share it.
class ScoreMemory {
 public:
  ScoreMemory(std::int32_t rows, std::int32_t vocab);

  [[nodiscard]] StepScores view() const noexcept { return {logits_.data(), scratch_.data(), nullptr}; }
  [[nodiscard]] float* logits() const noexcept { return logits_.data(); }

 private:
  DeviceBuffer<float> logits_;
  DeviceBuffer<float> scratch_;
};

}  // namespace mtp_rt::cuda
