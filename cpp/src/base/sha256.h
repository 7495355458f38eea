// SHA-256 of bytes in memory (FIPS 180-4), as tensorrt.json and packages of heads name files.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace mtp_rt {

/// 64 lower-case hexadecimal digits.
[[nodiscard]] std::string sha256(std::span<const std::byte> bytes);

}  // namespace mtp_rt
