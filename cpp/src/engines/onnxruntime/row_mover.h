// Moves rows of caches where they lie, with a graph of our own.
#pragma once

#include <cstdint>
#include <span>

#include "engines/onnxruntime/cache_memory.h"
#include "engines/onnxruntime/runtime.h"

namespace mtp_rt::onnxruntime {

/// Gathers places of one cache and scatters them into another, which any provider can that runs our graphs:
/// neither CUDA's runtime nor a copy through the host is needed.
class RowMover {
 public:
  /// `runtime` outlives it. Throws UnsupportedError where its provider cannot be used on this machine.
  explicit RowMover(const Runtime& runtime);

  [[nodiscard]] const OrtSession& session() const noexcept { return *session_; }

  /// Writes zeros to every place.
  void clear(const CacheView& cache) const;

  /// Copies the `places` of every head of `from`, ascending, to base, base + 1, ... of `to`. The two may be
  /// one cache where no place moves up. Throws CapacityError or EngineError.
  void move(const CacheView& from, std::span<const std::int64_t> places, const CacheView& to, int base) const;

 private:
  void run(const OrtValue* from, std::span<const std::int64_t> places, const CacheView& to, int base) const;

  const Runtime& runtime_;
  Owned<OrtSession> session_;
};

}  // namespace mtp_rt::onnxruntime
