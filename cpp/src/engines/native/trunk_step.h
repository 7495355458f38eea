// One thread's part of one run of the trunk.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>

#include "engines/native/trunk.h"

namespace mtp_rt::native {

/// The phases of a run, in order. A phase ends in a barrier where another thread's results come next.
class TrunkStep {
 public:
  TrunkStep(Trunk& trunk, const Batch& batch, KvCache& cache, const VerifyOutputs& outputs, int thread)
      : t_(trunk),
        k_(trunk.kernels_),
        w_(trunk.workspace_),
        s_(w_.threads[static_cast<std::size_t>(thread)]),
        a_(w_.attention_threads[static_cast<std::size_t>(thread)]),
        batch_(batch),
        cache_(cache),
        outputs_(outputs),
        thread_(thread),
        rows_(static_cast<int>(batch.rows.size())),
        width_(static_cast<std::size_t>(trunk.config_.hidden_size)),
        last_(std::chrono::steady_clock::now()) {}

  /// Runs all layers and the head; every thread of the pool calls it.
  void run();

 private:
  void end(Phase phase);
  [[nodiscard]] std::size_t blocks() const { return width_ / kBlock; }
  [[nodiscard]] float* residual() const { return w_.residual.as<float>().data(); }

  void add_to_residual(float* values, int block, std::span<const float> gain) const;
  void embed(std::span<const float> gain);
  void fill_rotations() const;

  // 1 / rms of every row's residual: the norm's scale, applied to products instead of their inputs.
  void read_row_scale();
  void project_qkv(const Layer& layer, int l);
  void rotate(float* values, int first, float scale) const;
  // Of 32 columns of every row, for an f32 or a q8 cache.
  void store_queries(const float* values, int head, int panel) const;
  [[nodiscard]] Slot slot_of(const BatchRow& row) const {
    return batch_.segments[static_cast<std::size_t>(row.segment)].slot;
  }

  void store_entries(const float* values, KvSide side, int layer, int head, int panel) const;

  // Items in a row read one stretch of the cache.
  void attend_items(int layer) const;
  void fold(const Product& next) const;
  void project_residual(const Product& product, const Activations& input, std::span<const float> gain,
                        const Product& next, const Activations& to);
  void project_gate_up(const Layer& layer);

  // The last residual: only rows that want logits go on to the head.
  void project_last(const Product& product);
  void tap(std::int32_t layer) const;
  void store_states() const;
  void score_vocabulary();

  Trunk& t_;
  const KernelTable& k_;
  Workspace& w_;
  ThreadScratch& s_;
  AttentionScratch& a_;
  const Batch& batch_;
  KvCache& cache_;
  const VerifyOutputs& outputs_;
  int thread_;
  int rows_;
  std::size_t width_;
  std::chrono::steady_clock::time_point last_;
};

}  // namespace mtp_rt::native
