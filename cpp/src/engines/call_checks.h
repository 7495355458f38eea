// What is wrong with a call's arguments, said in one way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace mtp_rt {

/// `value`; throws ArgumentError unless it is in `least` .. `greatest`.
int in_range(const std::string& name, int value, int least, int greatest);

/// Throws ArgumentError: `field` of a call's row holds `found`.
[[noreturn]] void refuse_row(std::size_t row, const char* field, const std::string& found,
                             const std::string& expected);

/// Throws ArgumentError unless `field` of a call's row is in `least` .. `greatest`.
void check_row(std::size_t row, const char* field, std::int32_t value, std::int32_t least,
               std::int32_t greatest);

/// Throws ArgumentError unless an output has room for exactly what the rows want.
void check_output(const char* output, std::size_t elements, std::size_t wanted);

}  // namespace mtp_rt
