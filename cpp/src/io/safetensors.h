// The header of a safetensors file: which bytes are which tensor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "mtp_rt/model_dir.h"

namespace mtp_rt::io {

struct StoredTensor {
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;
  std::size_t begin = 0;  // bytes [begin, end) of the file
  std::size_t end = 0;
};

using TensorTable = std::map<std::string, StoredTensor, std::less<>>;

/// Reads the header at the start of `file`, the bytes of a whole safetensors file.
///
/// On return every tensor lies inside `file` at a multiple of its element size, its bytes are
/// product(shape) x element size, and the tensors tile the data without holes or overlaps.
/// Throws ModelFormatError(`name`, tensor or "header", ...) otherwise. Touches only the header's bytes.
[[nodiscard]] TensorTable parse_safetensors(std::span<const std::byte> file, const std::string& name);

[[nodiscard]] std::size_t element_size(DType dtype) noexcept;
[[nodiscard]] const char* dtype_name(DType dtype) noexcept;  // as written in the header: "F16"

}  // namespace mtp_rt::io
