#include "engines/native/attention.h"

#include <algorithm>
#include <cstring>

namespace mtp_rt::native {

AttentionMemory::AttentionMemory(const AttentionShape& shape, KvKind kind, int rows, int context)
    : shape_(shape),
      panel_bytes_(kind == KvKind::q8 ? sizeof(QueryBlock) : kUnit * sizeof(float)),
      query_bytes_(static_cast<std::size_t>(shape.head_dim / kUnit) * panel_bytes_),
      queries_(at(rows, 0) * query_bytes_),
      partials_(at(rows, 0) * static_cast<std::size_t>((context + kContextBlock - 1) / kContextBlock) *
                    shape.partial_stride() * sizeof(float),
                Pages::small) {}

void AttentionMemory::put_query(int row, int head, int panel, const float* values) const noexcept {
  std::byte* to = queries_.data() + at(row, head) * query_bytes_;
  std::memcpy(to + static_cast<std::size_t>(panel) * panel_bytes_, values, panel_bytes_);
}

void AttentionMemory::put_query(int row, int head, int panel, const std::int8_t* codes, float scale,
                                std::int32_t offset) const noexcept {
  std::byte* to = queries_.data() + at(row, head) * query_bytes_;
  QueryBlock block{scale, offset, {}};
  std::copy_n(codes, kUnit, block.codes);
  std::memcpy(to + static_cast<std::size_t>(panel) * panel_bytes_, &block, sizeof block);
}

AttentionWorker::AttentionWorker(const AttentionShape& shape, const KvCache& cache)
    : shape_(shape), ordered_keys_(cache.block_bytes()), ordered_values_(cache.block_bytes()) {}

// One item, in one layer.
struct AttentionWorker::Step {
  AttentionWorker& worker;
  const KernelTable& kernels;
  const AttentionMemory& memory;
  const Batch& batch;
  const AttentionItem& item;
  const KvCache& cache;
  int layer;
  KvBlock next;

  [[nodiscard]] const Segment& segment() const {
    return batch.segments[static_cast<std::size_t>(item.segment)];
  }
  [[nodiscard]] const BatchRow& row(int r) const {
    return batch.rows[static_cast<std::size_t>(item.first_row + r)];
  }
  [[nodiscard]] int start() const { return item.block * kContextBlock; }
  [[nodiscard]] KvPlace place(int index) const { return {segment().slot, layer, item.kv_head, index}; }

  // Row r attends to positions skipped(r) .. count(r) - 1 of the block.
  [[nodiscard]] int count(int r) const { return std::clamp(row(r).position + 1 - start(), 0, kContextBlock); }
  [[nodiscard]] int skipped(int r) const {
    return std::clamp(first_position(batch, row(r)) - start(), 0, kContextBlock);
  }

  // Positions that the call itself computes stand where its rows do.
  [[nodiscard]] int first_own() const { return std::max(segment().base, start()); }
  [[nodiscard]] int index_of(int r, int position) const {
    return batch.paths[static_cast<std::size_t>(row(r).path + position - segment().base)];
  }
  [[nodiscard]] bool in_order(int r) const {
    if (skipped(r) > 0) return false;  // a block's positions are attended to from the first on
    if (segment().chain) return true;
    for (int position = first_own(); position < start() + count(r); ++position) {
      if (index_of(r, position) != position) return false;
    }
    return true;
  }

  void run() const {
    for (int r = 0; r < item.rows; ++r) {
      if (count(r) > 0 && in_order(r)) add(r);
    }
    attend(cache.block(place(start())));
    for (int r = 0; r < item.rows; ++r) {
      if (count(r) <= skipped(r) || in_order(r)) continue;
      add(r);
      attend(put_in_order(r));
    }
  }

  void add(int r) const {
    for (int h = 0; h < item.heads; ++h) {
      const int head = item.kv_head * worker.shape_.group() + item.first_head + h;
      worker.queries_.push_back(memory.query(item.first_row + r, head));
      worker.counts_.push_back(count(r) - skipped(r));
      worker.partials_.push_back(memory.partials(item.first_row + r, head, batch.context_blocks) +
                                 static_cast<std::size_t>(item.block) * worker.shape_.partial_stride());
    }
  }

  void attend(const KvBlock& block) const {
    const BlockAttention task{block.keys,
                              block.values,
                              next.keys,
                              next.values,
                              worker.shape_.head_dim / kUnit,
                              static_cast<int>(worker.queries_.size()),
                              worker.queries_.data(),
                              worker.counts_.data(),
                              worker.partials_.data()};
    (cache.shape().kind == KvKind::q8 ? kernels.attend_q8 : kernels.attend_f32)(task);
    worker.queries_.clear();
    worker.counts_.clear();
    worker.partials_.clear();
  }

  [[nodiscard]] KvBlock put_in_order(int r) const {
    const KvBlock ordered{worker.ordered_keys_.data(), worker.ordered_values_.data()};
    const int skip = skipped(r);
    if (skip > 0) {
      for (int i = skip; i < count(r); ++i) {
        const int index =
            segment().chain || start() + i < segment().base ? start() + i : index_of(r, start() + i);
        cache.copy_entry(cache.block(place(index)), index % kContextBlock, ordered, i - skip);
      }
      return ordered;
    }
    if (first_own() > start()) {
      const KvBlock committed = cache.block(place(start()));
      std::memcpy(ordered.keys, committed.keys, cache.block_bytes());
      std::memcpy(ordered.values, committed.values, cache.block_bytes());
    }
    for (int position = first_own(); position < start() + count(r); ++position) {
      const int index = index_of(r, position);
      cache.copy_entry(cache.block(place(index)), index % kContextBlock, ordered, position - start());
    }
    return ordered;
  }
};

void AttentionWorker::run(const KernelTable& kernels, const AttentionMemory& memory, const Batch& batch,
                          std::span<const AttentionItem> items, int layer, const KvCache& cache) {
  for (std::size_t i = 0; i < items.size(); ++i) {
    const AttentionItem& next = items[std::min(i + 1, items.size() - 1)];
    const Slot slot = batch.segments[static_cast<std::size_t>(next.segment)].slot;
    const KvBlock next_block = cache.block({slot, layer, next.kv_head, next.block * kContextBlock});
    Step{*this, kernels, memory, batch, items[i], cache, layer, next_block}.run();
  }
}

}  // namespace mtp_rt::native
