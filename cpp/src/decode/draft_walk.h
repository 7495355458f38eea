// The walk behind accept(): shared by the CPU and the CUDA step.
#pragma once

#include <cstdint>

#include "base/host_device.h"
#include "mtp_rt/token.h"

namespace mtp_rt {

/// Follows nodes whose token equals their parent row's pick; returns the pick of the last row reached.
///
/// Node i sits in row i + 1 and parents[i] <= i, so one pass in order meets every parent before its children.
/// `pick(row)` is asked once for each row on the path, `visit(row)` told of it: rows off the path cost
/// nothing.
template <typename Pick, typename Visit>
MTP_RT_HOST_DEVICE Token walk_drafts(const Token* tokens, const std::int32_t* parents, std::int32_t count,
                                     Pick pick, Visit visit) {
  std::int32_t row = 0;
  visit(row);
  Token chosen = pick(row);
  for (std::int32_t node = 0; node < count; ++node) {
    if (parents[node] != row || tokens[node] != chosen) continue;
    row = node + 1;
    visit(row);
    chosen = pick(row);
  }
  return chosen;
}

}  // namespace mtp_rt
