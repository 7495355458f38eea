// Arithmetic on numbers that come from a file. Readers use nothing else on them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace mtp_rt::io {

/// a + b, or nothing where it does not fit.
[[nodiscard]] constexpr std::optional<std::uint64_t> checked_add(std::uint64_t a, std::uint64_t b) noexcept {
  std::uint64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}

/// a * b, or nothing where it does not fit.
[[nodiscard]] constexpr std::optional<std::uint64_t> checked_multiply(std::uint64_t a,
                                                                      std::uint64_t b) noexcept {
  std::uint64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

/// The product of `factors` (1 for none), or nothing where a factor is negative or the product does not fit.
[[nodiscard]] constexpr std::optional<std::uint64_t> checked_product(
    std::span<const std::int64_t> factors) noexcept {
  std::uint64_t product = 1;
  for (const std::int64_t factor : factors) {
    if (factor < 0) return std::nullopt;
    const auto next = checked_multiply(product, static_cast<std::uint64_t>(factor));
    if (!next) return std::nullopt;
    product = *next;
  }
  return product;
}

}  // namespace mtp_rt::io
