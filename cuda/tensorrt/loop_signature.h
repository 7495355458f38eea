// Whether plans are those that a loop calls.
#pragma once

#include <cstdint>

#include "engines/cuda/plans.h"

namespace mtp_rt::cuda {

/// Rows of a sequence in a step of the model's loop, at most.
[[nodiscard]] std::int32_t loop_rows(const PlanLoopModel& model) noexcept;

/// Throws ArgumentError on sizes out of range, and on plans and caches that are not of this part;
/// ModelFormatError where a plan lacks a tensor, or takes one that the loop does not have.
void check_loop(const PlanLoopModel& model);

}  // namespace mtp_rt::cuda
