// Where keys and values lie, and what moves them between runs.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

namespace mtp_rt::onnxruntime {

/// A slot's matrices, one behind the other: float32 [heads, places, head_dim].
struct CacheView {
  float* data = nullptr;  // borrowed; an address of the device where they lie there
  int heads = 0;          // key-value heads of all layers, of keys and of values
  int places = 0;
  int head_dim = 0;
};

class CacheMemory {
 public:
  virtual ~CacheMemory() = default;
  CacheMemory() = default;
  CacheMemory(const CacheMemory&) = delete;
  CacheMemory& operator=(const CacheMemory&) = delete;

  /// Zeros for a view of these sizes, whose own address is left aside; must not outlive this. Throws
  /// CapacityError or std::bad_alloc where memory does not suffice.
  [[nodiscard]] virtual std::shared_ptr<float> make_zeros(const CacheView& sizes) = 0;

  /// Copies the first `filled` places of every head to the first ones of `to`, which has more of them.
  virtual void copy(const CacheView& from, int filled, const CacheView& to) = 0;

  /// Moves the places at `offsets` behind `base`, ascending, to base, base + 1, ... in every head.
  virtual void keep(const CacheView& cache, int base, std::span<const std::int32_t> offsets) = 0;
};

/// Memory of the host.
[[nodiscard]] std::unique_ptr<CacheMemory> make_host_memory();

}  // namespace mtp_rt::onnxruntime
