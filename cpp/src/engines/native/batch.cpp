#include "engines/native/batch.h"

#include <algorithm>

namespace mtp_rt::native {
namespace {

// The KV indices of a tree row and its ancestors within the call, by position.
void append_path(Batch& batch, const Segment& segment, int row) {
  BatchRow& r = batch.rows[static_cast<std::size_t>(row)];
  r.path = static_cast<int>(batch.paths.size());
  const int steps = r.position - segment.base + 1;
  batch.paths.resize(batch.paths.size() + static_cast<std::size_t>(steps));
  for (int at = row, i = steps - 1; i >= 0; --i, at = batch.parents[static_cast<std::size_t>(at)]) {
    batch.paths[static_cast<std::size_t>(r.path + i)] = batch.rows[static_cast<std::size_t>(at)].index;
  }
}

int last_position(const Batch& batch, int first_row, int rows) {
  int last = 0;
  for (int r = first_row; r < first_row + rows; ++r) {
    last = std::max(last, batch.rows[static_cast<std::size_t>(r)].position);
  }
  return last;
}

void split(Batch& batch, int kv_heads, int group, int heads_per_item) {
  batch.items.clear();
  for (std::size_t s = 0; s < batch.segments.size(); ++s) {
    const Segment& segment = batch.segments[s];
    for (int first = segment.first_row; first < segment.first_row + segment.rows; first += kRowsPerItem) {
      const int rows = std::min(kRowsPerItem, segment.first_row + segment.rows - first);
      const int blocks = last_position(batch, first, rows) / kContextBlock + 1;
      for (int block = 0; block < blocks; ++block) {
        for (int kv_head = 0; kv_head < kv_heads; ++kv_head) {
          for (int head = 0; head < group; head += heads_per_item) {
            batch.items.push_back({static_cast<int>(s), first, rows, kv_head, head,
                                   std::min(heads_per_item, group - head), block});
          }
        }
      }
    }
  }
}

// What an item takes, about: queries times positions, and what comes with every query.
std::int64_t cost(const Batch& batch, const AttentionItem& item) {
  const int positions = last_position(batch, item.first_row, item.rows) + 1 - item.block * kContextBlock;
  return std::int64_t{item.rows} * item.heads * (std::min(positions, kContextBlock) + kLanes);
}

// Gives each thread items in a row, of near equal cost.
void share_out(Batch& batch, int threads) {
  std::int64_t total = 0;
  for (const AttentionItem& item : batch.items) total += cost(batch, item);
  batch.item_starts.assign(1, 0);
  std::int64_t before = 0;
  for (std::size_t i = 0; i < batch.items.size(); ++i) {
    const std::int64_t middle = before + cost(batch, batch.items[i]) / 2;
    while (middle * threads >= total * static_cast<std::int64_t>(batch.item_starts.size())) {
      batch.item_starts.push_back(i);
    }
    before += cost(batch, batch.items[i]);
  }
  batch.item_starts.resize(static_cast<std::size_t>(threads) + 1, batch.items.size());
}

}  // namespace

Batch plan_batch(std::span<const VerifyRow> rows, const EngineInfo& info,
                 const std::function<std::int32_t(Slot)>& length) {
  Batch batch;
  static_cast<VerifyPlan&>(batch) = plan_verify(rows, info, length);
  for (std::size_t s = 0; s < batch.segments.size(); ++s) {
    const Segment& segment = batch.segments[s];
    for (int i = 0; i < segment.rows; ++i) {
      const VerifyRow& row = rows[static_cast<std::size_t>(segment.first_row + i)];
      batch.rows.push_back({static_cast<int>(s), row.token, row.position, segment.base + i, 0});
      batch.context_blocks = std::max(batch.context_blocks, row.position / kContextBlock + 1);
    }
  }
  for (const Segment& s : batch.segments) {
    for (int r = s.first_row; !s.chain && r < s.first_row + s.rows; ++r) append_path(batch, s, r);
  }
  return batch;
}

void plan_attention(Batch& batch, int kv_heads, int group, int threads) {
  split(batch, kv_heads, group, group);
  // Few items leave threads idle: a head each then, at the price of reading the block once per head.
  if (batch.items.size() < static_cast<std::size_t>(4 * threads)) split(batch, kv_heads, group, 1);
  share_out(batch, threads);
}

}  // namespace mtp_rt::native
