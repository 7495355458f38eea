// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011): bits from a counter and
// a key.
#pragma once

#include <cstdint>

#include "base/host_device.h"

namespace mtp_rt {

/// The counter's four words, and the random words that ten rounds make of them.
struct PhiloxBits {
  std::uint32_t lane[4];
};

inline constexpr int kPhiloxRounds = 10;

/// One round; round r uses `key` advanced r times.
MTP_RT_HOST_DEVICE inline PhiloxBits philox_round(PhiloxBits c, std::uint32_t key_low,
                                                  std::uint32_t key_high) {
  const std::uint64_t a = std::uint64_t{0xD2511F53U} * c.lane[0];
  const std::uint64_t b = std::uint64_t{0xCD9E8D57U} * c.lane[2];
  return {{static_cast<std::uint32_t>(b >> 32) ^ c.lane[1] ^ key_low, static_cast<std::uint32_t>(b),
           static_cast<std::uint32_t>(a >> 32) ^ c.lane[3] ^ key_high, static_cast<std::uint32_t>(a)}};
}

/// The key of round `round`: its two words, advanced by two constants each time.
MTP_RT_HOST_DEVICE inline std::uint32_t philox_key_low(std::uint64_t key, int round) {
  return static_cast<std::uint32_t>(key) + static_cast<std::uint32_t>(round) * 0x9E3779B9U;
}
MTP_RT_HOST_DEVICE inline std::uint32_t philox_key_high(std::uint64_t key, int round) {
  return static_cast<std::uint32_t>(key >> 32) + static_cast<std::uint32_t>(round) * 0xBB67AE85U;
}

/// Four independent random words for each (counter, key).
MTP_RT_HOST_DEVICE inline PhiloxBits philox4x32(PhiloxBits counter, std::uint64_t key) {
  for (int r = 0; r < kPhiloxRounds; ++r) {
    counter = philox_round(counter, philox_key_low(key, r), philox_key_high(key, r));
  }
  return counter;
}

}  // namespace mtp_rt
