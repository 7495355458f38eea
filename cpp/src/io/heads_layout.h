// Which tensors the extra heads of a model have.
#pragma once

#include "io/model_layout.h"

namespace mtp_rt::io {

/// Adds the weights of `config.extra_heads`, which is set, to `layout`.
void add_heads(const ModelConfig& config, ModelLayout& layout);

}  // namespace mtp_rt::io
