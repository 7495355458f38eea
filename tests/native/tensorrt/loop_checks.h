// Checks of the loop.
#pragma once

namespace mtp_rt::cuda {

void check_loops();

// Of loop_groups.cpp.
void check_groups();

// Of loop_failures.cpp.
void check_broken_rows();
void check_refused_rows();
void check_refused_models();
void check_loop_failures();

}  // namespace mtp_rt::cuda
