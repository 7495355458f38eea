// Which kernel table this CPU runs.
#pragma once

#include <string>
#include <vector>

#include "engines/native/kernels/kernel_table.h"

namespace mtp_rt::native {

/// Instruction sets this CPU runs, best first; never empty.
[[nodiscard]] std::vector<std::string> available_isas();

/// The table named `isa`, or the best one if `isa` is empty and MTP_RT_ISA is not set.
/// Throws ArgumentError on an unknown name, UnsupportedError where the CPU lacks the instructions.
[[nodiscard]] const KernelTable& select_kernels(const std::string& isa);

}  // namespace mtp_rt::native
