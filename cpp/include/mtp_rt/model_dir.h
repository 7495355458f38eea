// A model directory, opened, mapped and validated once. Untrusted input: docs/model_dir.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mtp_rt/model_config.h"

namespace mtp_rt {

enum class DType { f32, f16, bf16, i32, i8, u8 };

/// A tensor inside a mapped file; borrowed, lives as long as its ModelDir.
struct TensorView {
  DType dtype = DType::f32;
  std::span<const std::int64_t> shape;
  std::span<const std::byte> bytes;  // exactly product(shape) * sizeof(dtype), aligned to sizeof(dtype)
};

/// Numeric kinds of a stored matrix (DESIGN section 3).
enum class Quant { f32, bf16, q8, q4 };

/// A weight matrix [rows, cols] and its parts. Row r maps `cols` inputs to output r.
struct WeightView {
  Quant quant = Quant::f32;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  TensorView data;   // f32, bf16: [rows, cols]; q8: i8 [rows, cols]; q4: u8 [rows, cols / 2], element 2j in
                     // the low nibble
  TensorView scale;  // q8, q4: f16 [rows, cols / 32]
  TensorView min;    // q4: f16 [rows, cols / 32]; w = scale * q + min
};

class ModelDir {
 public:
  /// Opens `path`, maps model.safetensors and checks all that docs/model_dir.md demands; weight() and
  /// tensor() of what the config asks for cannot fail afterwards. Throws ModelFormatError naming file and
  /// field, UnsupportedError for what no engine has.
  [[nodiscard]] static std::shared_ptr<const ModelDir> open(const std::filesystem::path& path);

  virtual ~ModelDir() = default;
  ModelDir(const ModelDir&) = delete;
  ModelDir& operator=(const ModelDir&) = delete;

  [[nodiscard]] virtual const std::filesystem::path& path() const noexcept = 0;
  [[nodiscard]] virtual const ModelConfig& config() const noexcept = 0;
  [[nodiscard]] virtual std::vector<std::string> tensor_names() const = 0;  // sorted
  [[nodiscard]] virtual bool has_tensor(std::string_view name) const noexcept = 0;

  /// Throws ModelFormatError("model.safetensors", name, ...) if absent.
  [[nodiscard]] virtual TensorView tensor(std::string_view name) const = 0;

  /// The matrix stored as `name` (f32, bf16) or as `name`.q8 / .q4 with `name`.scale and `name`.min.
  /// Throws ModelFormatError if absent or not [rows, cols].
  [[nodiscard]] virtual WeightView weight(std::string_view name, std::int64_t rows,
                                          std::int64_t cols) const = 0;

  /// Where `tensor`, one of this directory, begins in model.safetensors, in bytes.
  [[nodiscard]] virtual std::size_t offset_of(const TensorView& tensor) const noexcept = 0;

  /// Bytes of model.safetensors.
  [[nodiscard]] virtual std::size_t file_bytes() const noexcept = 0;

  /// Tells the system that the pages of `tensor` will not be read soon; they stay readable.
  virtual void forget(const TensorView& tensor) const noexcept = 0;

 protected:
  ModelDir() = default;
};

}  // namespace mtp_rt
