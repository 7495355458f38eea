// A matrix with a row per token, packed: an embedding, or an output matrix.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/parallel.h"
#include "engines/native/products.h"

namespace mtp_rt::native {

class PackedTable {
 public:
  PackedTable() = default;

  /// Packs matrix `name`. With `planes`, the halves of a q8 matrix lie apart, so that one can be read alone.
  PackedTable(const ModelDir& model, const std::string& name, std::int64_t rows, bool planes,
              const KernelTable& kernels, ThreadPool& pool);

  [[nodiscard]] bool is_q8() const noexcept { return quant_ == Quant::q8; }
  [[nodiscard]] int blocks() const noexcept { return blocks_; }

  /// The product with this matrix; borrows its units.
  [[nodiscard]] Product product(int threads) const;

  /// Columns 32 * block .. + 31 of row `row`, as floats.
  void unpack(std::int64_t row, int block, float* out) const;

  /// Bytes of all tiles, and of the lower planes, part of them.
  [[nodiscard]] std::size_t bytes() const noexcept { return tiles_.size() + low_.size(); }
  [[nodiscard]] std::size_t low_bytes() const noexcept { return low_.size(); }

 private:
  AlignedBuffer tiles_;
  AlignedBuffer low_;
  std::vector<Unit> units_;
  Quant quant_ = Quant::f32;
  int blocks_ = 0;
};

}  // namespace mtp_rt::native
