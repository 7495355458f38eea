// The description of extra heads in config.json.
#pragma once

#include "io/json_fields.h"
#include "mtp_rt/model_config.h"

namespace mtp_rt::io {

/// Reads `mtp_rt.heads` of a model whose sizes are already in `trunk`.
///
/// Throws ModelFormatError on a missing, mistyped, out-of-range or inconsistent field.
[[nodiscard]] HeadsConfig read_heads(const JsonFields& fields, const ModelConfig& trunk);

}  // namespace mtp_rt::io
