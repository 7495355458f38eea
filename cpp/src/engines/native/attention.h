// Attention of a batch's rows over their slots' KV caches.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/aligned_buffer.h"
#include "engines/native/batch.h"
#include "engines/native/kv_cache.h"

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

/// What attention computes in: the rows' queries, rotated and scaled, and the results by context block.
class AttentionMemory {
 public:
  AttentionMemory(const AttentionShape& shape, KvKind kind, int rows, int context);

  /// Writes dimensions 32 * panel .. + 31 of the query of (row, head): as they are for an f32 cache, or as 32
  /// codes times `scale` for a q8 cache.
  void put_query(int row, int head, int panel, const float* values) const noexcept;
  void put_query(int row, int head, int panel, const std::int8_t* codes, float scale,
                 std::int32_t offset) const noexcept;
  [[nodiscard]] const std::byte* query(int row, int head) const noexcept {
    return queries_.data() + at(row, head) * query_bytes_;
  }

  /// Partial results of (row, head) over block 0; those of the next blocks follow, partial_stride() floats
  /// apart. Places depend on the number of context blocks of the batch.
  [[nodiscard]] float* partials(int row, int head, int context_blocks) const noexcept {
    return partials_.as<float>().data() +
           at(row, head) * static_cast<std::size_t>(context_blocks) * shape_.partial_stride();
  }

 private:
  [[nodiscard]] std::size_t at(int row, int head) const noexcept {
    return static_cast<std::size_t>(row) * static_cast<std::size_t>(shape_.heads) +
           static_cast<std::size_t>(head);
  }

  AttentionShape shape_;
  std::size_t panel_bytes_;  // of 32 dimensions of a query
  std::size_t query_bytes_;
  AlignedBuffer queries_;
  AlignedBuffer partials_;
};

/// One thread's part of attention: its items, and memory for a block in the order of a tree row's positions.
class AttentionWorker {
 public:
  AttentionWorker(const AttentionShape& shape, const KvCache& cache);

  /// Computes the partial results of `items` from the queries and the cache.
  ///
  /// A row attends to its positions in order, whatever KV index they have: a tree row sees a copy of the
  /// block put in that order, so it has the bits of the same row in a chain.
  void run(const KernelTable& kernels, const AttentionMemory& memory, const Batch& batch,
           std::span<const AttentionItem> items, int layer, const KvCache& cache);

 private:
  struct Step;

  AttentionShape shape_;
  AlignedBuffer ordered_keys_;
  AlignedBuffer ordered_values_;
  std::vector<const std::byte*> queries_;
  std::vector<int> counts_;
  std::vector<float*> partials_;
};

}  // namespace mtp_rt::native
