// Which tensors a model has, and whether a file holds exactly those.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/safetensors.h"
#include "mtp_rt/model_config.h"
#include "mtp_rt/model_dir.h"

namespace mtp_rt::io {

struct MatrixSpec {
  std::string name;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
};

struct VectorSpec {
  std::string name;
  std::int64_t size = 0;
};

/// Token ids, strictly ascending and below `bound`.
struct IdsSpec {
  std::string name;
  std::int64_t size = 0;
  std::int64_t bound = 0;
};

struct ModelLayout {
  std::vector<MatrixSpec> matrices;
  std::vector<VectorSpec> vectors;
  std::vector<IdsSpec> ids;
};

/// Every weight of a model with this config, embedding first.
[[nodiscard]] ModelLayout layout_of(const ModelConfig& config);

/// Adds a transformer block whose tensors start with `prefix`: `inner` is its MLP's width.
void add_block(const std::string& prefix, const ModelConfig& config, std::int64_t inner, ModelLayout& layout);

/// The name of the matrix that makes logits: the embedding where it is tied.
[[nodiscard]] const char* output_matrix(const ModelConfig& config) noexcept;

/// The view of a stored tensor into `file`.
[[nodiscard]] TensorView view_of(const StoredTensor& tensor, std::span<const std::byte> file) noexcept;

/// The matrix `spec` from its parts in `table`.
///
/// Throws ModelFormatError(`name`, tensor, ...) if it is absent, stored twice, or a part has another dtype or
/// shape.
[[nodiscard]] WeightView find_matrix(const TensorTable& table, std::span<const std::byte> file,
                                     const MatrixSpec& spec, const std::string& name);

/// Checks that `table` holds every weight of `layout` exactly once and nothing else.
///
/// Throws ModelFormatError(`name`, tensor, ...) at the first that is missing, stored twice, unknown, of
/// another dtype or shape, a scale or minimum that is not finite, or an id out of order. Reads scales, minima
/// and ids.
void check_layout(const TensorTable& table, std::span<const std::byte> file, const ModelLayout& layout,
                  const std::string& name);

}  // namespace mtp_rt::io
