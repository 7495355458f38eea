// The loop of an engine that keeps it on a device: verify, pick, accept, commit and draft in one go.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "mtp_rt/acceptance.h"
#include "mtp_rt/sequence.h"
#include "mtp_rt/token.h"

namespace mtp_rt {

/// What a step does for one sequence: verifies drafts behind its last committed token, then drafts anew.
struct LoopRow {
  Slot slot = 0;
  const DraftTree* tree = nullptr;  // null: no drafts
  std::int32_t drafts = 0;          // nodes of the tree that are verified, the first ones: below max_rows()
  std::int32_t depths = 0;          // drafted afterwards, one token each, 0 .. max_depths()
};

/// What came of it.
struct LoopResult {
  std::vector<Token> tokens;   // committed: accepted drafts and one more, cut where the sequence ends
  std::int32_t accepted = 0;   // drafts that stood
  std::vector<Token> drafted;  // a chain behind the last committed token; empty where the sequence has ended
  std::optional<std::string> error;  // nothing was committed, and the sequence can go no further
};

/// The engine's caches are the loop's: what a step commits is committed in the engine, too. Used by one
/// thread at a time, together with the engine.
class DeviceLoop {
 public:
  virtual ~DeviceLoop() = default;
  DeviceLoop() = default;
  DeviceLoop(const DeviceLoop&) = delete;
  DeviceLoop& operator=(const DeviceLoop&) = delete;

  /// Rows of one sequence in a step, at most: its last token and drafts.
  [[nodiscard]] virtual std::int32_t max_rows() const noexcept = 0;

  /// Tokens that the heads draft one after the other, at most.
  [[nodiscard]] virtual std::int32_t max_depths() const noexcept = 0;

  /// Whether the loop's state can hold the request, and its results have all that the request wants.
  [[nodiscard]] virtual bool takes(const Request& request) const noexcept = 0;

  /// Whether a sequence was admitted to the slot and has not been released.
  [[nodiscard]] virtual bool holds(Slot slot) const noexcept = 0;

  /// Puts a sequence into the loop: `tokens` are all committed ones, and the engine's slot holds all of them
  /// but the last. Throws ArgumentError where none can follow them, UnsupportedError unless takes(request),
  /// CapacityError where the device's memory does not suffice.
  virtual void admit(Slot slot, const Request& request, std::span<const Token> tokens) = 0;

  /// One step of admitted sequences, each at most once; results in the order of the rows.
  /// Throws ArgumentError on a malformed row, EngineError where the device fails; the sequences of the call
  /// are then to be released.
  [[nodiscard]] virtual std::vector<LoopResult> step(std::span<const LoopRow> rows) = 0;

  /// Forgets a sequence, if there is one. The engine's release() calls it.
  virtual void release(Slot slot) = 0;
};

}  // namespace mtp_rt
