#include "engines/call_checks.h"

#include "mtp_rt/error.h"

namespace mtp_rt {
namespace {

std::string range(std::int32_t least, std::int32_t greatest) {
  return std::to_string(least) + " .. " + std::to_string(greatest);
}

}  // namespace

int in_range(const std::string& name, int value, int least, int greatest) {
  if (value >= least && value <= greatest) return value;
  throw ArgumentError(name + " is " + std::to_string(value) + "; expected " + range(least, greatest));
}

void refuse_row(std::size_t row, const char* field, const std::string& found, const std::string& expected) {
  throw ArgumentError("rows[" + std::to_string(row) + "]." + field + " is " + found + "; expected " +
                      expected);
}

void check_row(std::size_t row, const char* field, std::int32_t value, std::int32_t least,
               std::int32_t greatest) {
  if (value < least || value > greatest)
    refuse_row(row, field, std::to_string(value), range(least, greatest));
}

void check_output(const char* output, std::size_t elements, std::size_t wanted) {
  if (elements == wanted) return;
  throw ArgumentError(std::string("outputs.") + output + " has " + std::to_string(elements) +
                      " elements; the rows want " + std::to_string(wanted));
}

}  // namespace mtp_rt
