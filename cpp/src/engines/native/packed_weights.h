// A model's weights in the order and layout in which the kernels read them.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "base/parallel.h"
#include "engines/native/packed_table.h"
#include "engines/native/product_group.h"
#include "engines/native/products.h"
#include "mtp_rt/model_dir.h"

namespace mtp_rt::native {

/// Packs the trunk, embedding and head of `model`: every weight once, each thread's share of the layers one
/// stream.
class PackedWeights {
 public:
  PackedWeights(const ModelDir& model, const KernelTable& kernels, ThreadPool& pool);

  [[nodiscard]] const std::vector<Layer>& layers() const noexcept { return layers_; }
  [[nodiscard]] std::span<const float> final_gain() const noexcept { return final_gain_; }
  [[nodiscard]] const Product& head() const noexcept { return head_; }
  [[nodiscard]] bool head_is_q8() const noexcept { return output_.is_q8(); }

  /// Columns 32 * block .. + 31 of the embedding of `token`, as floats.
  void embed(Token token, int block, float* out) const {
    (embedding_ ? *embedding_ : output_).unpack(token, block, out);
  }

  /// Bytes of all layers and vectors, of the head's tiles, and of the q8 head's lower four bits (part of the
  /// head).
  [[nodiscard]] std::size_t layer_bytes() const noexcept {
    return streams_.bytes() + gains_.size() * sizeof(float);
  }
  [[nodiscard]] std::size_t head_bytes() const noexcept { return output_.bytes(); }
  [[nodiscard]] std::size_t head_low_bytes() const noexcept { return output_.low_bytes(); }

 private:
  void read_gains(const ModelDir& model);

  std::vector<float> gains_;
  std::vector<Layer> layers_;
  std::span<const float> final_gain_;
  WeightStreams streams_;
  PackedTable output_;
  std::optional<PackedTable> embedding_;  // empty when tied
  Product head_;
};

}  // namespace mtp_rt::native
