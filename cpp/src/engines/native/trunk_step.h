// One thread's part of one run of the trunk.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>

#include "engines/native/layer_step.h"
#include "engines/native/trunk.h"

namespace mtp_rt::native {

/// The phases of a run, in order. A phase ends in a barrier where another thread's results come next.
class TrunkStep {
 public:
  TrunkStep(Trunk& trunk, const Batch& batch, KvCache& cache, const VerifyOutputs& outputs, int thread)
      : t_(trunk),
        k_(trunk.kernels_),
        w_(trunk.workspace_),
        l_(trunk.context_, batch, cache, thread),
        s_(w_.threads[static_cast<std::size_t>(thread)]),
        batch_(batch),
        outputs_(outputs),
        thread_(thread),
        rows_(static_cast<int>(batch.rows.size())),
        width_(static_cast<std::size_t>(trunk.config_.hidden_size)),
        last_(std::chrono::steady_clock::now()) {}

  /// Runs all layers and the head; every thread of the pool calls it.
  void run();

 private:
  void end(Phase phase);
  [[nodiscard]] float* residual() const { return w_.residual.as<float>().data(); }

  void embed(const Layer& first) const;

  // The last residual: only rows that want logits go on to the head.
  void project_last(const Product& product) const;
  void tap(std::int32_t layer) const;
  void store_states() const;
  void score_vocabulary();

  Trunk& t_;
  const KernelTable& k_;
  Workspace& w_;
  LayerStep l_;
  ThreadScratch& s_;
  const Batch& batch_;
  const VerifyOutputs& outputs_;
  int thread_;
  int rows_;
  std::size_t width_;
  std::chrono::steady_clock::time_point last_;
};

}  // namespace mtp_rt::native
