// A model's weights in the order and layout in which the kernels read them.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/parallel.h"
#include "engines/native/kernels/kernel_table.h"
#include "mtp_rt/model_dir.h"

namespace mtp_rt::native {

class LayerSources;

/// 32 outputs of a matrix product.
struct Unit {
  UnitTiles tiles;
  DotKernel dot = nullptr;
  Quant quant = Quant::f32;
  int index = 0;  // outputs 32 * index .. 32 * index + 31
};

/// One matrix product, or several over the same input run as one. Thread t computes units[t], in order.
struct Product {
  int blocks = 0;  // inputs / 32
  bool takes_quantized = false;
  bool takes_values = false;
  std::vector<std::vector<Unit>> units;
};

struct Layer {
  std::span<const float> attention_gain;  // [hidden]
  std::span<const float> mlp_gain;        // [hidden]
  Product qkv;                            // rows of q, then k, then v
  Product out;                            // residual
  Product gate_up;                        // units alternate: gate 0, up 0, gate 1, up 1, ...
  Product down;                           // residual
};

/// Packs the trunk, embedding and head of `model`: every weight once, each thread's share of the layers one
/// stream.
class PackedWeights {
 public:
  PackedWeights(const ModelDir& model, const KernelTable& kernels, ThreadPool& pool);

  [[nodiscard]] const std::vector<Layer>& layers() const noexcept { return layers_; }
  [[nodiscard]] std::span<const float> final_gain() const noexcept { return final_gain_; }
  [[nodiscard]] const Product& head() const noexcept { return head_; }
  [[nodiscard]] bool head_is_q8() const noexcept { return head_is_q8_; }

  /// Columns 32 * block .. + 31 of the embedding of `token`, as floats.
  void embed(Token token, int block, float* out) const;

  /// Bytes of all layers and vectors, of the head's tiles, and of the q8 head's lower four bits (part of the
  /// head).
  [[nodiscard]] std::size_t layer_bytes() const noexcept { return layer_bytes_; }
  [[nodiscard]] std::size_t head_bytes() const noexcept { return head_bytes_; }
  [[nodiscard]] std::size_t head_low_bytes() const noexcept { return head_low_bytes_; }

 private:
  void read_gains(const ModelDir& model);
  void pack_layers(const ModelDir& model, const KernelTable& kernels, ThreadPool& pool);
  void pack_layer(Layer& layer, const LayerSources& sources, const KernelTable& kernels, ThreadPool& pool,
                  std::vector<std::uint8_t*>& at);
  void pack_vocabulary(const ModelDir& model, const KernelTable& kernels, ThreadPool& pool);

  std::vector<float> gains_;
  std::vector<Layer> layers_;
  std::span<const float> final_gain_;
  std::vector<AlignedBuffer> streams_;  // one per thread
  AlignedBuffer head_tiles_;
  AlignedBuffer head_low_;
  AlignedBuffer embedding_tiles_;  // empty when tied
  Product head_;
  std::vector<Unit> embedding_;  // by unit
  bool head_is_q8_ = false;
  std::size_t layer_bytes_ = 0;
  std::size_t head_bytes_ = 0;
  std::size_t head_low_bytes_ = 0;
};

}  // namespace mtp_rt::native
