// Which tensors the extra heads of a model have.
#pragma once

#include "io/model_layout.h"

namespace mtp_rt::io {

/// Adds the weights of `heads`, on a model with this config, to `layout`.
void add_heads(const HeadsConfig& heads, const ModelConfig& config, ModelLayout& layout);

}  // namespace mtp_rt::io
