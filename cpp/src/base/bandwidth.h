// How fast this machine reads memory.
#pragma once

namespace mtp_rt {

/// Bytes per nanosecond (GB/s) that `threads` threads read together from memory beyond the caches: the best
/// pass of those that fit in `seconds`. Throws ArgumentError unless threads is 1 .. 256 and seconds 0.01
/// .. 60.
[[nodiscard]] double read_bandwidth(int threads, double seconds);

}  // namespace mtp_rt
