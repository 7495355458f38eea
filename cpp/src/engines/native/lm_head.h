// Logits of the rows that want them.
#pragma once

#include <optional>
#include <span>

#include "base/parallel.h"
#include "engines/native/packed_weights.h"
#include "engines/native/workspace.h"

namespace mtp_rt::native {

/// The product of Workspace::head_input with the output matrix.
///
/// With a margin, a row's logit is defined in two stages: all entries are scored from the upper four bits of
/// the q8 weights; those within `margin` of that row's best coarse score get their exact score instead. The
/// rest of the row keeps the coarse one, even where another row computed it exactly.
struct LmHead {
  const KernelTable& kernels;
  const Product& product;
  int vocab_size;
  int rows;
  std::optional<float> margin;

  /// Thread `thread`'s part, scales in ThreadScratch::head_scale. logits [rows, vocab_size].
  void run(Workspace& workspace, int thread, ThreadPool& pool, std::span<float> logits) const;

 private:
  void score(const Unit& unit, DotKernel dot, Workspace& workspace, ThreadScratch& scratch,
             float* logits) const;
  void refine(const Unit& unit, const float* thresholds, Workspace& workspace, const ThreadScratch& scratch,
              float* logits) const;
};

}  // namespace mtp_rt::native
