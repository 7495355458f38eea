// One order of a row's entries, most likely first, lower id first among equals, and cuts through it: shared
// by the CPU and the CUDA sampler.
#pragma once

#include <limits>

#include "base/host_device.h"
#include "mtp_rt/token.h"

namespace mtp_rt {

/// An entry of a row of scores.
struct Scored {
  float z = 0.0F;
  Token token = 0;

  /// Whether this entry comes before `other` in the order of the cuts.
  [[nodiscard]] MTP_RT_HOST_DEVICE bool before(const Scored& other) const noexcept {
    return z != other.z ? z > other.z : token < other.token;
  }
};

/// Everything up to and including `last` in the order is kept.
struct Cut {
  Scored last{std::numeric_limits<float>::lowest(), std::numeric_limits<Token>::max()};

  [[nodiscard]] MTP_RT_HOST_DEVICE bool keeps(Scored entry) const noexcept { return !last.before(entry); }

  /// Keeps what both keep.
  MTP_RT_HOST_DEVICE void tighten(const Cut& other) noexcept {
    if (other.last.before(last)) last = other.last;
  }
};

}  // namespace mtp_rt
