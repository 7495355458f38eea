#include "engines/onnxruntime/device_memory.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <numeric>
#include <string>
#include <vector>

#include "mtp_rt/error.h"

namespace mtp_rt::onnxruntime {
namespace {

class DeviceMemory final : public CacheMemory {
 public:
  DeviceMemory(const Runtime& runtime, const RowMover& mover)
      : runtime_(runtime),
        mover_(mover),
        allocator_(make_owned(runtime.library(), runtime.api().ReleaseAllocator, "memory of the device",
                              [&](OrtAllocator** out) {
                                return runtime.api().CreateAllocator(&mover.session(),
                                                                     runtime.memory(Place::device), out);
                              })) {}

  [[nodiscard]] std::shared_ptr<float> make_zeros(const CacheView& sizes) override {
    const OrtApi& api = runtime_.api();
    const std::array<std::int64_t, 3> shape = {sizes.heads, sizes.places, sizes.head_dim};
    OrtValue* made = nullptr;
    OrtStatus* status =
        api.CreateTensorAsOrtValue(allocator_.get(), shape.data(), shape.size(), ElementType::f32, &made);
    if (status != nullptr) {
      throw CapacityError("no memory on provider '" + std::string(runtime_.provider().option) +
                          "' for keys and values of " + std::to_string(sizes.places) +
                          " positions: " + runtime_.library().message(status));
    }
    std::shared_ptr<OrtValue> owner(made, api.ReleaseValue);
    void* data = nullptr;
    runtime_.library().check(api.GetTensorMutableData(made, &data), "memory of the device");
    CacheView zeros = sizes;
    zeros.data = static_cast<float*>(data);
    mover_.clear(zeros);
    return {std::move(owner), zeros.data};
  }

  void copy(const CacheView& from, int filled, const CacheView& to) override {
    std::vector<std::int64_t> places(static_cast<std::size_t>(filled));
    std::iota(places.begin(), places.end(), 0);
    mover_.move(from, places, to, 0);
  }

  void keep(const CacheView& cache, int base, std::span<const std::int32_t> offsets) override {
    int stay = 0;
    for (const std::int32_t offset : offsets) {
      if (offset != stay) break;
      ++stay;
    }
    std::vector<std::int64_t> places;
    for (const std::int32_t offset : offsets.subspan(static_cast<std::size_t>(stay))) {
      places.push_back(base + offset);
    }
    mover_.move(cache, places, cache, base + stay);
  }

 private:
  const Runtime& runtime_;
  const RowMover& mover_;
  Owned<OrtAllocator> allocator_;
};

}  // namespace

std::unique_ptr<CacheMemory> make_device_memory(const Runtime& runtime, const RowMover& mover) {
  return std::make_unique<DeviceMemory>(runtime, mover);
}

}  // namespace mtp_rt::onnxruntime
