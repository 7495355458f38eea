#include "tensorrt/execution.h"

#include <algorithm>

#include "mtp_rt/error.h"

namespace mtp_rt::cuda {
namespace {

nvinfer1::Dims dims_of(std::span<const std::int64_t> shape) {
  nvinfer1::Dims dims{};
  dims.nbDims = static_cast<std::int32_t>(shape.size());
  std::ranges::copy(shape, std::begin(dims.d));
  return dims;
}

}  // namespace

std::string shape_text(std::span<const std::int64_t> shape) {
  std::string text = "[";
  for (const std::int64_t size : shape) text += (text.size() == 1 ? "" : ", ") + std::to_string(size);
  return text + "]";
}

Execution::Execution(Runtime& runtime, nvinfer1::ICudaEngine& engine, std::int32_t profile,
                     std::span<std::byte> scratch)
    : runtime_(runtime),
      context_(engine.createExecutionContext(nvinfer1::ExecutionContextAllocationStrategy::kUSER_MANAGED)) {
  const std::string name = "profile " + std::to_string(profile);
  if (context_ == nullptr) runtime_.fail(name + " cannot be opened");
  if (!context_->setOptimizationProfileAsync(profile, runtime_.stream().get())) {
    runtime_.fail(name + " cannot be chosen");
  }
  context_->setDeviceMemoryV2(scratch.data(), static_cast<std::int64_t>(scratch.size()));
}

void Execution::set_shape(const std::string& input, std::span<const std::int64_t> shape) {
  const bool fits = shape.size() <= std::size_t{nvinfer1::Dims::MAX_DIMS};
  if (!fits || !context_->setInputShape(input.c_str(), dims_of(shape))) {
    runtime_.fail("input " + input + ": the plan does not take the shape " + shape_text(shape));
  }
}

std::vector<std::int64_t> Execution::shape_of(const std::string& tensor) {
  const nvinfer1::Dims dims = context_->getTensorShape(tensor.c_str());
  std::vector<std::int64_t> shape;
  for (std::int32_t i = 0; i < std::min(dims.nbDims, nvinfer1::Dims::MAX_DIMS); ++i)
    shape.push_back(dims.d[i]);
  const bool known =
      dims.nbDims >= 0 && std::ranges::all_of(shape, [](std::int64_t size) { return size >= 0; });
  if (!known)
    runtime_.fail(tensor + ": its shape " + shape_text(shape) + " does not follow from the inputs'");
  return shape;
}

void Execution::bind(const std::string& tensor, void* memory) {
  if (!context_->setTensorAddress(tensor.c_str(), memory)) runtime_.fail(tensor + ": its memory is refused");
}

void Execution::bind_caches(std::span<const PlanCacheNames> names, const DeviceCaches& caches, Slot first,
                            std::int32_t batch) {
  const PlanCacheShape& shape = caches.shape();
  const BoundCaches wanted{caches.at(0, 0), shape, first, batch};
  if (bound_ == wanted) return;
  bound_.reset();
  for (std::size_t matrix = 0; matrix < names.size(); ++matrix) {
    set_shape(names[matrix].past,
              std::vector<std::int64_t>{batch, shape.heads, shape.places, shape.head_dim});
    bind(names[matrix].past, caches.at(matrix, first));
    bind(names[matrix].present, caches.at(matrix, first));
  }
  bound_ = wanted;
}

void Execution::check_caches(std::span<const PlanCacheNames> names) {
  for (const PlanCacheNames& matrix : names) {
    const std::vector<std::int64_t> past = shape_of(matrix.past);
    const std::vector<std::int64_t> present = shape_of(matrix.present);
    if (past == present) continue;
    throw EngineError("output " + matrix.present + " has the shape " + shape_text(present) +
                      ", and its input " + shape_text(past));
  }
}

void Execution::enqueue(cudaStream_t stream) {
  if (!context_->enqueueV3(stream)) runtime_.fail("the call cannot be run");
}

}  // namespace mtp_rt::cuda
