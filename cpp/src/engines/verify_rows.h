// The rows of a verify call, checked, and those of them that a slot keeps.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "mtp_rt/engine.h"

namespace mtp_rt {

/// The rows of one slot in a call.
struct Segment {
  Slot slot = 0;
  int first_row = 0;
  int rows = 0;
  int base = 0;       // committed positions before the call
  bool chain = true;  // every row follows the one before it
};

struct VerifyPlan {
  std::vector<Segment> segments;
  std::vector<std::int32_t> parents;     // as in the call
  std::vector<std::int32_t> logit_rows;  // ascending
  std::vector<std::int32_t> state_rows;  // ascending
};

/// Checks `rows` against the engine and each slot's committed length.
/// Throws ArgumentError naming the row and field, CapacityError beyond max_rows or the context.
[[nodiscard]] VerifyPlan plan_verify(std::span<const VerifyRow> rows, const EngineInfo& info,
                                     const std::function<std::int32_t(Slot)>& length);

/// Throws ArgumentError unless the outputs have room for exactly what the rows want.
void check_outputs(const VerifyPlan& plan, const VerifyOutputs& outputs, const EngineInfo& info);

/// What a slot keeps of a call.
struct Kept {
  Segment segment;
  std::vector<std::int32_t> offsets;  // places behind its committed positions
};

/// Checks what commit() is asked to keep of the last call: of each slot, once, a path from its first row.
[[nodiscard]] std::vector<Kept> plan_kept(std::span<const KeptRows> kept, const VerifyPlan& plan);

}  // namespace mtp_rt
