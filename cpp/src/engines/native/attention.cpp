#include "engines/native/attention.h"

#include <algorithm>

namespace mtp_rt::native {
namespace {

// Rows of scratch memory, all indexed by query: (row of the item, head of the item).
struct Scratch {
  float* queries;  // [n, kCoefficientStride]
  float* scores;   // [n, kCoefficientStride] by position within the block
  float* own;      // [n, own_stride] of the call's own rows, by KV index, for trees
  float* values;   // [n, head_dim]
  std::size_t own_stride;
};

class Item {
 public:
  Item(const KernelTable& kernels, const AttentionShape& shape, const Batch& batch, const AttentionItem& item,
       int layer, const KvCache& cache, Workspace& workspace, ThreadScratch& scratch)
      : kernels_(kernels),
        shape_(shape),
        batch_(batch),
        item_(item),
        segment_(batch.segments[static_cast<std::size_t>(item.segment)]),
        workspace_(workspace),
        cache_(cache),
        layer_(layer),
        dim_(static_cast<std::size_t>(shape.head_dim)),
        start_(item.block * kContextBlock),
        queries_(item.rows * item.heads),
        scratch_(lay_out(scratch)) {}

  void run() {
    gather_queries();
    score();
    std::fill_n(scratch_.values, static_cast<std::size_t>(queries_) * dim_, 0.0F);
    for (int r = 0; r < item_.rows; ++r) {
      const int n = count(r);
      for (int h = 0; n > 0 && h < item_.heads; ++h) {
        float* partial = partial_of(r, h);
        kernels_.softmax(scores(query(r, h)), n, partial, partial + 1);
      }
    }
    weigh_values();
    store_values();
  }

 private:
  Scratch lay_out(ThreadScratch& memory) const {
    const auto n = static_cast<std::size_t>(queries_);
    Scratch s{};
    s.queries = memory.attention_memory.as<float>().data();
    s.scores = s.queries + n * kCoefficientStride;
    s.values = s.scores + n * kCoefficientStride;
    s.own = s.values + n * dim_;
    s.own_stride = static_cast<std::size_t>(segment_.rows + 2 * kLanes - 1) / kLanes * kLanes;
    return s;
  }

  [[nodiscard]] int query(int row, int head) const { return row * item_.heads + head; }
  [[nodiscard]] const BatchRow& row(int r) const {
    return batch_.rows[static_cast<std::size_t>(item_.first_row + r)];
  }
  [[nodiscard]] int head(int h) const { return item_.kv_head * shape_.group() + item_.first_head + h; }
  [[nodiscard]] float* scores(int q) const {
    return scratch_.scores + static_cast<std::size_t>(q) * kCoefficientStride;
  }
  [[nodiscard]] float* partial_of(int r, int h) const {
    return partials_of(workspace_, shape_, batch_, item_.first_row + r, head(h)) +
           static_cast<std::size_t>(item_.block) * shape_.partial_stride();
  }

  // Positions of the block that row r attends to.
  [[nodiscard]] int count(int r) const { return std::clamp(row(r).position + 1 - start_, 0, kContextBlock); }

  // Of those, how many stand in the cache in the order of positions.
  [[nodiscard]] int ordered(int r) const {
    return segment_.chain ? count(r) : std::clamp(segment_.base - start_, 0, count(r));
  }
  [[nodiscard]] int index_of(int r, int position) const {
    return batch_.paths[static_cast<std::size_t>(row(r).path + position - segment_.base)];
  }

  void gather_queries() const {
    const auto stride = static_cast<std::size_t>(shape_.heads) * dim_;
    for (int r = 0; r < item_.rows; ++r) {
      const float* from = workspace_.queries.as<float>().data() +
                          static_cast<std::size_t>(item_.first_row + r) * stride +
                          static_cast<std::size_t>(head(0)) * dim_;
      for (int h = 0; h < item_.heads; ++h, from += dim_) {
        std::copy_n(from, dim_,
                    scratch_.queries + static_cast<std::size_t>(query(r, h)) * kCoefficientStride);
      }
    }
  }

  // out[q * stride + i] = query q times the key of entry first + i; first is a multiple of 16.
  void score_keys(int first, int n, float* out, std::size_t stride) const {
    for (int q = 0; q < queries_; ++q) {
      std::fill_n(out + static_cast<std::size_t>(q) * stride, (n + kLanes - 1) / kLanes * kLanes, 0.0F);
    }
    for (int i = 0; i < n;) {
      const int in_block = std::min(n - i, kContextBlock - (first + i) % kContextBlock);
      const HalfMatrix keys{cache_.keys(segment_.slot, layer_, item_.kv_head, first + i), kLanes,
                            kLanes * dim_, (in_block + kLanes - 1) / kLanes, shape_.head_dim};
      kernels_.half_dot(keys, scratch_.queries, queries_, out + i, stride);
      i += in_block;
    }
  }

  void score() const {
    int most = 0;
    for (int r = 0; r < item_.rows; ++r) most = std::max(most, ordered(r));
    score_keys(start_, most, scratch_.scores, kCoefficientStride);
    if (segment_.chain || segment_.base + segment_.rows <= start_) return;
    const int first = segment_.base / kLanes * kLanes;
    score_keys(first, segment_.base + segment_.rows - first, scratch_.own, scratch_.own_stride);
    for (int r = 0; r < item_.rows; ++r) {
      for (int i = ordered(r); i < count(r); ++i) {
        const int at = index_of(r, start_ + i) - first;
        for (int h = 0; h < item_.heads; ++h) {
          const int q = query(r, h);
          scores(q)[i] =
              scratch_.own[static_cast<std::size_t>(q) * scratch_.own_stride + static_cast<std::size_t>(at)];
        }
      }
    }
  }

  // Adds the values of entries `index` .. + n - 1, all of one block, weighted by the scores from `position`
  // on, for `n_queries` queries.
  void add_values(int index, int position, int n, int first_query, int n_queries) const {
    const HalfMatrix values{cache_.values(segment_.slot, layer_, item_.kv_head, index), dim_, kLanes,
                            shape_.head_dim / kLanes, n};
    kernels_.half_dot(values, scores(first_query) + position, n_queries,
                      scratch_.values + static_cast<std::size_t>(first_query) * dim_, dim_);
  }

  void weigh_values() const {
    int shared = kContextBlock;
    for (int r = 0; r < item_.rows; ++r) shared = std::min(shared, ordered(r));
    add_values(start_, 0, shared, 0, queries_);
    for (int r = 0; r < item_.rows; ++r) {
      const int in_order = ordered(r);
      if (in_order > shared) add_values(start_ + shared, shared, in_order - shared, query(r, 0), item_.heads);
      for (int i = in_order; i < count(r); ++i)
        add_values(index_of(r, start_ + i), i, 1, query(r, 0), item_.heads);
    }
  }

  void store_values() const {
    for (int r = 0; r < item_.rows; ++r) {
      for (int h = 0; count(r) > 0 && h < item_.heads; ++h) {
        std::copy_n(scratch_.values + static_cast<std::size_t>(query(r, h)) * dim_, dim_,
                    partial_of(r, h) + kLanes);
      }
    }
  }

  const KernelTable& kernels_;
  const AttentionShape& shape_;
  const Batch& batch_;
  const AttentionItem& item_;
  const Segment& segment_;
  Workspace& workspace_;
  const KvCache& cache_;
  int layer_;
  std::size_t dim_;
  int start_;
  int queries_;
  Scratch scratch_;
};

}  // namespace

float* partials_of(const Workspace& workspace, const AttentionShape& shape, const Batch& batch, int row,
                   int head) {
  const auto index =
      static_cast<std::size_t>(row) * static_cast<std::size_t>(shape.heads) + static_cast<std::size_t>(head);
  return workspace.partials.as<float>().data() +
         index * static_cast<std::size_t>(batch.context_blocks) * shape.partial_stride();
}

void attend(const KernelTable& kernels, const AttentionShape& shape, const Batch& batch,
            const AttentionItem& item, int layer, const KvCache& cache, Workspace& workspace,
            ThreadScratch& scratch) {
  Item(kernels, shape, batch, item, layer, cache, workspace, scratch).run();
}

}  // namespace mtp_rt::native
