// One thread's part of transformer blocks over the rows of a batch: what trunk and extra heads share.
#pragma once

#include <span>
#include <vector>

#include "base/parallel.h"
#include "engines/native/attention.h"
#include "engines/native/batch.h"
#include "engines/native/kv_cache.h"
#include "engines/native/products.h"
#include "engines/native/workspace.h"
#include "mtp_rt/model_config.h"

namespace mtp_rt::native {

/// Radians per position by which pairs of a head's dimensions rotate [head_dim / 2].
[[nodiscard]] std::vector<double> rotation_frequencies(const ModelConfig& config);

/// 1 / rms of a row, from the sums of squares of its blocks.
[[nodiscard]] float row_scale(std::span<const float> squares, float eps) noexcept;

/// What blocks compute with, besides their weights.
struct LayerContext {
  const KernelTable& kernels;
  ThreadPool& pool;
  AttentionShape shape;
  float eps;
  std::span<const double> frequencies;
  Workspace& workspace;
};

/// The phases of a block, in order; between two of them lies a barrier. The residual stands in
/// Workspace::residual, and what the block reads of it, times the norm's gain, in Workspace::normed.
class LayerStep {
 public:
  LayerStep(const LayerContext& context, const Batch& batch, KvCache& cache, int thread);

  /// Prepares the rows' rotations; called by one thread.
  void fill_rotations() const;

  /// Writes queries, and keys and values to layer `layer` of the cache.
  void project_qkv(const Layer& layer, int index) const;
  /// Computes the thread's share of the batch's attention items.
  void attend(int index) const;
  /// Brings the items' results together for the product `next`.
  void fold(const Product& next) const;
  /// Adds a product to the residual, and hands the residual times `gain` to the product `next`.
  void project_residual(const Product& product, const Activations& input, std::span<const float> gain,
                        const Product& next, const Activations& to) const;
  void project_gate_up(const Layer& layer) const;

  /// residual += values [rows, 32] in the columns of `block`, its squares too; values = the sum times `gain`.
  void add_to_residual(float* values, int block, std::span<const float> gain) const;

  /// The rows' 1 / rms, scales of the norm: applied to products instead of their inputs.
  void read_row_scale() const;

  [[nodiscard]] float* values() const { return s_.unit(0, rows_); }
  [[nodiscard]] int rows() const noexcept { return rows_; }

 private:
  void rotate(float* values, int first, float scale) const;
  void store_queries(const float* values, int head, int panel) const;
  void store_entries(const float* values, KvSide side, int index, int head, int panel) const;
  [[nodiscard]] Slot slot_of(const BatchRow& row) const {
    return batch_.segments[static_cast<std::size_t>(row.segment)].slot;
  }

  const LayerContext& c_;
  const KernelTable& k_;
  Workspace& w_;
  ThreadScratch& s_;
  AttentionScratch& a_;
  const Batch& batch_;
  KvCache& cache_;
  int thread_;
  int rows_;
  std::size_t width_;   // of the residual
  std::size_t blocks_;  // width / 32
};

}  // namespace mtp_rt::native
