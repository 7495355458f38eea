// A verify call, checked and laid out for the trunk.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "engines/native/kernels/kernel_table.h"
#include "engines/verify_rows.h"
#include "mtp_rt/engine.h"

namespace mtp_rt::native {

struct BatchRow {
  int segment = 0;
  Token token = 0;
  int position = 0;
  int index = 0;  // of its KV entry in the slot: base + place in the segment
  int path = 0;   // in Batch::paths, for rows of a tree: KV indices of positions base .. position
};

/// Rows of one segment whose attention over one context block is computed together.
struct AttentionItem {
  int segment = 0;
  int first_row = 0;
  int rows = 0;
  int kv_head = 0;
  int first_head = 0;  // within the KV head's group
  int heads = 0;
  int block = 0;  // positions 128 * block .. + 127
};

inline constexpr int kRowsPerItem = 4;

struct Batch : VerifyPlan {
  std::vector<BatchRow> rows;
  std::vector<std::int32_t> paths;
  std::vector<AttentionItem> items;
  std::vector<std::size_t>
      item_starts;         // [threads + 1] thread t computes items item_starts[t] .. [t + 1] - 1
  int window = 0;          // positions that a row attends back to, itself included; 0: all
  int context_blocks = 0;  // of the row with the longest context
};

/// The first position that `row` attends to.
[[nodiscard]] inline int first_position(const Batch& batch, const BatchRow& row) noexcept {
  return batch.window == 0 ? 0 : std::max(0, row.position + 1 - batch.window);
}

/// Checks `rows` as plan_verify() does and lays them out.
[[nodiscard]] Batch plan_batch(std::span<const VerifyRow> rows, const EngineInfo& info,
                               const std::function<std::int32_t(Slot)>& length);

/// Splits the attention of a planned batch into items and shares them out to `threads` threads.
void plan_attention(Batch& batch, int kv_heads, int group, int threads);

}  // namespace mtp_rt::native
