// Attention of a batch's rows over their slots' KV caches.
#pragma once

#include "engines/native/batch.h"
#include "engines/native/kv_cache.h"
#include "engines/native/workspace.h"

namespace mtp_rt::native {

struct AttentionShape {
  int heads = 0;
  int kv_heads = 0;
  int head_dim = 0;

  [[nodiscard]] int group() const noexcept { return heads / kv_heads; }
  [[nodiscard]] std::size_t partial_stride() const noexcept {
    return kLanes + static_cast<std::size_t>(head_dim);
  }
};

/// Partial results of (row, head): one per context block, AttentionShape::partial_stride() floats apart.
[[nodiscard]] float* partials_of(const Workspace& workspace, const AttentionShape& shape, const Batch& batch,
                                 int row, int head);

/// Computes an item's partial results from Workspace::queries and the cache.
///
/// Scores and weighted values are sums in the order of logical positions, whatever KV index a position has,
/// so a row of a tree has the bits of the same row in a chain.
void attend(const KernelTable& kernels, const AttentionShape& shape, const Batch& batch,
            const AttentionItem& item, int layer, const KvCache& cache, Workspace& workspace,
            ThreadScratch& scratch);

}  // namespace mtp_rt::native
