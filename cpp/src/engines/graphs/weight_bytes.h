// How many bytes of weights a step reads, for what drafting costs beside it.
#pragma once

#include <cstddef>

#include "engines/graphs/graph.h"
#include "mtp_rt/model_dir.h"

namespace mtp_rt::graphs {

/// Of a step of one row through the trunk.
[[nodiscard]] std::size_t step_bytes(const Backend& backend, const ModelDir& model);

/// Of one depth of drafting, where the model's heads are `heads`.
[[nodiscard]] std::size_t depth_bytes(const Backend& backend, const ModelDir& model,
                                      const HeadsConfig& heads);

}  // namespace mtp_rt::graphs
