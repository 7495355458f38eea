#include "tensorrt/tensors.h"

#include <algorithm>
#include <limits>
#include <string_view>
#include <utility>

#include "mtp_rt/error.h"

namespace mtp_rt::cuda {
namespace {

constexpr std::size_t kCacheRank = 4;

PlanType type_of(nvinfer1::DataType type) {
  switch (type) {
    case nvinfer1::DataType::kFLOAT:
      return PlanType::f32;
    case nvinfer1::DataType::kHALF:
      return PlanType::f16;
    case nvinfer1::DataType::kINT64:
      return PlanType::i64;
    case nvinfer1::DataType::kBOOL:
      return PlanType::boolean;
    default:
      return PlanType::other;
  }
}

/// 0: less than a byte, or unknown.
std::size_t bytes_of_type(nvinfer1::DataType type) {
  switch (type) {
    case nvinfer1::DataType::kINT64:
      return 8;
    case nvinfer1::DataType::kFLOAT:
    case nvinfer1::DataType::kINT32:
      return 4;
    case nvinfer1::DataType::kHALF:
    case nvinfer1::DataType::kBF16:
      return 2;
    case nvinfer1::DataType::kBOOL:
    case nvinfer1::DataType::kINT8:
    case nvinfer1::DataType::kUINT8:
    case nvinfer1::DataType::kFP8:
      return 1;
    default:
      return 0;
  }
}

/// Names stand in messages: here, and wherever a caller speaks of tensors.
bool is_printable(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](char c) { return c >= ' ' && c <= '~'; });
}

void check_kind(const nvinfer1::ICudaEngine& engine, const char* name, const std::string& file) {
  const auto refuse = [&](const std::string& problem) { throw ModelFormatError(file, name, problem); };
  if (engine.isShapeInferenceIO(name) ||
      engine.getTensorLocation(name) != nvinfer1::TensorLocation::kDEVICE) {
    refuse("lies in the host's memory, as what decides shapes does; export the plan again");
  }
  for (std::int32_t profile = 0; profile < engine.getNbOptimizationProfiles(); ++profile) {
    if (engine.getTensorFormat(name, profile) != nvinfer1::TensorFormat::kLINEAR) {
      refuse("is not laid out row by row; export the plan again");
    }
  }
  if (value_bytes(engine, name) == 0) refuse("has values smaller than a byte; export the plan again");
}

const PlanTensor& cache_tensor(std::span<const PlanTensor> tensors, const std::string& name, bool is_input,
                               const std::string& file) {
  const auto found = std::ranges::find(tensors, name, &PlanTensor::name);
  if (found == tensors.end() || found->is_input != is_input) {
    throw ModelFormatError(file, name, is_input ? "is no input of the plan" : "is no output of the plan");
  }
  const bool fixed =
      std::ranges::all_of(found->shape.begin() + std::min<std::ptrdiff_t>(1, std::ssize(found->shape)),
                          found->shape.end(), [](std::int64_t size) { return size > 0; });
  if (found->type != PlanType::f16 || found->shape.size() != kCacheRank || !fixed) {
    throw ModelFormatError(file, name,
                           "is no cache: float16 [batch, heads, places, head_dim], all but the batch fixed");
  }
  return *found;
}

}  // namespace

std::vector<PlanTensor> tensors_of(const nvinfer1::ICudaEngine& engine, const std::string& file) {
  std::vector<PlanTensor> tensors;
  for (std::int32_t i = 0; i < engine.getNbIOTensors(); ++i) {
    const char* name = engine.getIOTensorName(i);
    if (!is_printable(name)) throw ModelFormatError(file, "", "has a tensor whose name is not plain text");
    check_kind(engine, name, file);
    const nvinfer1::Dims dims = engine.getTensorShape(name);
    const bool is_input = engine.getTensorIOMode(name) == nvinfer1::TensorIOMode::kINPUT;
    PlanTensor tensor{name, is_input, type_of(engine.getTensorDataType(name)), {}};
    for (std::int32_t d = 0; d < std::min(dims.nbDims, nvinfer1::Dims::MAX_DIMS); ++d) {
      tensor.shape.push_back(dims.d[d]);
    }
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

std::size_t value_bytes(const nvinfer1::ICudaEngine& engine, const std::string& tensor) {
  return bytes_of_type(engine.getTensorDataType(tensor.c_str()));
}

std::size_t bytes_of(std::span<const std::int64_t> shape, std::size_t value_bytes) {
  std::size_t bytes = value_bytes;
  for (const std::int64_t size : shape) {
    const auto factor = static_cast<std::size_t>(size);
    if (factor != 0 && bytes > std::numeric_limits<std::size_t>::max() / factor) {
      throw CapacityError("a tensor is larger than any memory");
    }
    bytes *= factor;
  }
  return bytes;
}

void check_caches(std::span<const PlanTensor> tensors, std::span<const PlanCacheNames> caches,
                  const std::string& file) {
  for (const PlanCacheNames& matrix : caches) {
    const PlanTensor& past = cache_tensor(tensors, matrix.past, true, file);
    const PlanTensor& present = cache_tensor(tensors, matrix.present, false, file);
    if (past.shape != present.shape) {
      throw ModelFormatError(file, matrix.present, "has another shape than " + matrix.past);
    }
  }
}

}  // namespace mtp_rt::cuda
