// A graph whose inputs and outputs are bound to memory of ours, once for each shape of call.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "engines/onnxruntime/session.h"
#include "engines/onnxruntime/slot_caches.h"
#include "mtp_rt/model_dir.h"

namespace mtp_rt::onnxruntime {

/// What a graph is called with and gives, besides caches.
struct Signature {
  std::vector<Tensor> inputs;
  std::vector<Tensor> outputs;
};

/// The caches that a graph has: inputs PREFIXpast.{layer}.key and .value, outputs PREFIXpresent...
struct GraphCaches {
  std::string prefix;
  CacheShape shape;
  std::vector<int> layers;  // empty: none
};

class BoundGraph {
 public:
  /// Opens `file` of `model`. Throws as read_onnx_file() and open_session() do.
  BoundGraph(const Runtime& runtime, const ModelDir& model, const std::string& file, Signature signature,
             GraphCaches caches);

  /// Runs the graph on what its inputs hold: `width` rows, `rows` of them wanted, over a slot's cache, which
  /// is null where it has none. Throws EngineError.
  void run(int width, int rows, const SlotCache* cache);

  /// Bytes of the stored tensors that the graph reads, of names that start with `prefix`.
  [[nodiscard]] std::size_t weight_bytes(const std::string& prefix) const;

 private:
  struct Binding {
    Owned<OrtIoBinding> io;
    const float* cache = nullptr;  // what is bound now
    int places = 0;
  };

  [[nodiscard]] Binding& binding(int width, int rows);
  void bind_cache(Binding& binding, const SlotCache& cache) const;
  [[nodiscard]] Owned<OrtValue> value(const Tensor& tensor, int width, int rows, int places) const;
  void check(OrtStatus* status) const { runtime_.library().check(status, file_); }

  const Runtime& runtime_;
  std::string file_;
  Signature signature_;
  GraphCaches caches_;
  std::map<std::string, std::size_t> stored_;  // bytes by stored name
  Owned<OrtSession> session_;
  std::map<std::pair<int, int>, Binding> bindings_;  // by width and rows
};

}  // namespace mtp_rt::onnxruntime
