// Whether plans are those that a loop calls.
#pragma once

#include "engines/cuda/plans.h"

namespace mtp_rt::cuda {

/// Throws ArgumentError on sizes out of range, and on plans and caches that are not of this part;
/// ModelFormatError where a plan lacks a tensor, or takes one that the loop does not have.
void check_loop(const PlanLoopModel& model);

}  // namespace mtp_rt::cuda
