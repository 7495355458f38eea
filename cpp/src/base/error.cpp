#include "mtp_rt/error.h"

#include <utility>

namespace mtp_rt {

ModelFormatError::ModelFormatError(std::string file, std::string field, const std::string& problem)
    : Error(file + ": " + (field.empty() ? "" : field + ": ") + problem),
      file_(std::move(file)),
      field_(std::move(field)) {}

}  // namespace mtp_rt
