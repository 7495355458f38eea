// A graph whose inputs and outputs are bound to memory of ours, once for each shape of call.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engines/graphs/graph.h"
#include "engines/onnxruntime/cache_memory.h"
#include "engines/onnxruntime/row_mover.h"
#include "engines/onnxruntime/session.h"
#include "engines/onnxruntime/slot_caches.h"
#include "mtp_rt/model_dir.h"

namespace mtp_rt::onnxruntime {

class BoundGraph final : public graphs::Graph {
 public:
  /// Opens `file` of `model`; `runtime` and `mover` outlive it. `mover`: of caches with the device; null:
  /// they lie with the host. Throws as read_onnx_file() and open_session() do.
  BoundGraph(const Runtime& runtime, const RowMover* mover, const ModelDir& model, const std::string& file,
             graphs::Signature signature, graphs::GraphCaches caches);

  void run(Slot slot, int width, int rows) override;
  void reserve(Slot slot, int places, int filled) override;
  void keep(Slot slot, int base, std::span<const std::int32_t> offsets) override;
  void clear(Slot slot) noexcept override;

 private:
  struct Binding {
    Owned<OrtIoBinding> io;
    const float* cache = nullptr;  // what is bound now
    int places = 0;
  };

  [[nodiscard]] SlotCache& cache(Slot slot) noexcept { return slots_[static_cast<std::size_t>(slot)]; }
  [[nodiscard]] Binding& binding(int width, int rows);
  void bind_inputs(OrtIoBinding* io, int width, int rows) const;
  void bind_cache(Binding& binding, const SlotCache& cache) const;
  [[nodiscard]] Owned<OrtValue> value(Place place, const graphs::Tensor& tensor, int width, int rows,
                                      int places) const;
  void check(OrtStatus* status) const { runtime_.library().check(status, file_); }

  const Runtime& runtime_;
  std::string file_;
  graphs::Signature signature_;
  graphs::GraphCaches caches_;
  CacheShape shape_;
  std::unique_ptr<CacheMemory> memory_;
  std::vector<SlotCache> slots_;  // in that memory
  Owned<OrtSession> session_;
  std::map<std::pair<int, int>, Binding> bindings_;  // by width and rows
};

}  // namespace mtp_rt::onnxruntime
