// Logits of the rows that want them.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "base/parallel.h"
#include "engines/native/products.h"
#include "engines/native/workspace.h"

namespace mtp_rt::native {

/// The product of `input` with an output matrix.
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
  const Activations& input;             // factors of its rows in ThreadScratch::head_scale
  std::vector<float>& unit_maxima;      // [units, rows]: afterwards the greatest logits
  std::vector<ThreadScratch>& threads;  // row_scale is overwritten

  /// Thread `thread`'s part. logits [rows, vocab_size].
  void run(int thread, ThreadPool& pool, std::span<float> logits) const;

 private:
  [[nodiscard]] float* maxima_of(const Unit& unit) const noexcept {
    return unit_maxima.data() + static_cast<std::size_t>(unit.index) * static_cast<std::size_t>(rows);
  }
  void score(const Unit& unit, DotKernel dot, ThreadScratch& scratch, float* logits) const;
  void refine(const Unit& unit, const float* thresholds, const ThreadScratch& scratch, float* logits) const;
};

}  // namespace mtp_rt::native
