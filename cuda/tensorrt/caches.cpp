#include "tensorrt/caches.h"

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "kernels/kernels.h"
#include "mtp_rt/error.h"

namespace mtp_rt::cuda {
namespace {

constexpr std::size_t kAlignment = 256;  // bytes: what TensorRT asks of addresses

/// a * b. Throws CapacityError where no memory could hold as much.
std::size_t product(std::size_t a, std::size_t b) {
  if (b != 0 && a > std::numeric_limits<std::size_t>::max() / sizeof(std::uint16_t) / b) {
    throw CapacityError("caches: more than the GPU's memory");
  }
  return a * b;
}

PlanCacheShape checked(const PlanCacheShape& shape) {
  for (const std::int32_t size : {shape.matrices, shape.slots, shape.heads, shape.places, shape.head_dim}) {
    if (size < 1) throw ArgumentError("caches: one of the sizes is " + std::to_string(size));
  }
  return shape;
}

std::size_t slot_size(const PlanCacheShape& shape) {
  const std::size_t size =
      product(product(static_cast<std::size_t>(shape.heads), static_cast<std::size_t>(shape.places)),
              static_cast<std::size_t>(shape.head_dim));
  const std::size_t bytes = size * sizeof(std::uint16_t);
  if (shape.slots > 1 && bytes % kAlignment != 0) {
    throw UnsupportedError("caches: a slot takes " + std::to_string(bytes) +
                           " bytes, and TensorRT takes only multiples of " + std::to_string(kAlignment) +
                           "; open the engine with one slot");
  }
  return size;
}

/// Values of a matrix of `size`, filled up to where the next may begin.
std::size_t filled_up(std::size_t size) {
  constexpr std::size_t kUnit = kAlignment / sizeof(std::uint16_t);
  return product((size + kUnit - 1) / kUnit, kUnit);
}

}  // namespace

DeviceCaches::DeviceCaches(std::shared_ptr<Runtime> runtime, const PlanCacheShape& shape)
    : runtime_(std::move(runtime)),
      shape_(checked(shape)),
      slot_size_(slot_size(shape)),
      matrix_size_(filled_up(product(slot_size_, static_cast<std::size_t>(shape.slots)))),
      values_(product(matrix_size_, static_cast<std::size_t>(shape.matrices))),
      matrices_(static_cast<std::size_t>(shape.matrices)),
      outcome_(1),
      slot_(1),
      kept_(kMaxWidth) {
  const Stream& stream = runtime_->stream();
  values_.fill(0, stream.get());
  std::vector<void*> matrices;
  for (std::size_t matrix = 0; matrix < matrices_.size(); ++matrix) matrices.push_back(at(matrix, 0));
  matrices_.upload(matrices, stream.get());
  stream.wait();
}

void* DeviceCaches::at(std::size_t matrix, Slot first) const noexcept {
  return values_.data() + matrix * matrix_size_ + static_cast<std::size_t>(first) * slot_size_;
}

void DeviceCaches::keep(Slot slot, std::int32_t base, std::span<const std::int32_t> offsets) {
  check_places(slot, base, offsets);
  // What lies where it belongs stays; enqueue_move() takes the last of it as its first row.
  std::int32_t first = 0;
  for (const std::int32_t offset : offsets) {
    if (offset != first) break;
    ++first;
  }
  const auto moved = offsets.subspan(static_cast<std::size_t>(first));
  if (moved.empty()) return;
  const std::int32_t place = first - 1;
  std::vector<std::int32_t> kept{0};
  for (const std::int32_t offset : moved) kept.push_back(offset - place);
  if (kept.size() > kept_.size()) {
    throw ArgumentError("offsets: " + std::to_string(moved.size()) + " places would move, at most " +
                        std::to_string(kept_.size() - 1) + " can");
  }
  StepOutcome outcome;
  outcome.count = static_cast<std::int32_t>(kept.size());
  outcome.place = base + place;
  outcome.last_row = kept.back();
  cudaStream_t stream = runtime_->stream().get();
  outcome_.upload({&outcome, 1}, stream);
  slot_.upload({&slot, 1}, stream);
  kept_.upload(kept, stream);
  const StepRows rows{1, kMaxWidth, slot_.data(), nullptr, nullptr, nullptr};
  const StepResults results{nullptr, nullptr, kept_.data(), nullptr, outcome_.data()};
  enqueue_move(layout(), rows, results, stream);
}

CacheLayout DeviceCaches::layout() const noexcept {
  const auto row_bytes = static_cast<std::int32_t>(sizeof(Half)) * shape_.head_dim;
  return {matrices_.data(), shape_.matrices, shape_.heads, shape_.places, row_bytes};
}

void DeviceCaches::check_places(Slot slot, std::int32_t base, std::span<const std::int32_t> offsets) const {
  if (slot < 0 || slot >= shape_.slots) {
    throw ArgumentError("slot: " + std::to_string(slot) + " is outside 0 .. " +
                        std::to_string(shape_.slots - 1));
  }
  std::int64_t before = -1;
  for (const std::int32_t offset : offsets) {
    const bool first_stays = before >= 0 || offset == 0;
    if (!first_stays || offset <= before || std::int64_t{base} + offset >= shape_.places) {
      throw ArgumentError("offsets: they ascend from 0, and the last is one of the " +
                          std::to_string(shape_.places) + " places");
    }
    before = offset;
  }
  if (base < 0) throw ArgumentError("base: " + std::to_string(base) + " is negative");
}

}  // namespace mtp_rt::cuda
