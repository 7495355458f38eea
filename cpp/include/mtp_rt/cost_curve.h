// What a verify call costs on this machine, by its width.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "mtp_rt/engine.h"

namespace mtp_rt {

/// `length` tokens that the model writes itself in an empty slot, sampled at temperature 1 behind token 0:
/// what measurements run over, for a step's cost depends a little on what it reads. Throws as time_verify()
/// does.
[[nodiscard]] std::vector<Token> sample_text(Engine& engine, std::int32_t length, Slot slot);

/// Seconds of `repeat` verify calls of `width` rows in each of `slots`, behind `context` committed tokens:
/// those of `text`, and any where it ends.
///
/// The slots are empty before and after. Throws ArgumentError on a slot in use or a value below 1 (`context`:
/// 0), CapacityError where the rows exceed the engine's.
[[nodiscard]] std::vector<double> time_verify(Engine& engine, std::int32_t width, std::int32_t context,
                                              std::int32_t repeat, std::span<const Slot> slots,
                                              std::span<const Token> text);

/// Milliseconds of verify calls of 1, 2, ... rows in an empty slot, at most `max_width` and what the engine
/// holds: each width's fastest of rounds that go through all widths. The fastest, because other work on the
/// machine only ever adds, and the curve is kept for later runs.
[[nodiscard]] std::vector<double> measure_costs(Engine& engine, std::int32_t max_width, Slot slot);

/// Milliseconds of one depth of draft calls of 1, 2, ... of `slots`, which are empty: the fastest of rounds,
/// as above. Empty where the engine has no extra heads.
[[nodiscard]] std::vector<double> measure_draft_costs(Engine& engine, std::span<const Slot> slots);

}  // namespace mtp_rt
