// The two integers that every other header speaks of.
#pragma once

#include <cstdint>

namespace mtp_rt {

using Token = std::int32_t;  ///< An id of the model's full vocabulary.
using Slot = std::int32_t;   ///< One sequence's place in an engine's KV cache, 0 .. slots - 1.

}  // namespace mtp_rt
