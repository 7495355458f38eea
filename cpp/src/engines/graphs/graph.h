// What a backend must offer to run a model directory's exported graphs: see docs/exporting.md, Signatures.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "mtp_rt/device_loop.h"
#include "mtp_rt/engine.h"
#include "mtp_rt/model_dir.h"
#include "mtp_rt/token.h"

namespace mtp_rt::graphs {

enum class NumberType { f32, i64, boolean };

/// Bytes of one.
[[nodiscard]] std::size_t number_size(NumberType type) noexcept;

/// Dimensions that a call decides on.
enum Dimension : std::int64_t { kBatch = -1, kWidth = -2, kRows = -3, kPlaces = -4 };

/// An input or output of a graph, and the memory of ours that holds it.
struct Tensor {
  std::string name;
  NumberType type = NumberType::f32;
  std::vector<std::int64_t> shape;  // negative: a Dimension
  void* data = nullptr;             // borrowed; null: an output that no one reads
};

/// What the shape is in a call of one slot.
[[nodiscard]] std::vector<std::int64_t> shape_in_call(const Tensor& tensor, int width, int rows, int places);

/// What a graph is called with and gives, besides caches.
struct Signature {
  std::vector<Tensor> inputs;
  std::vector<Tensor> outputs;
};

/// The caches that a graph has: inputs PREFIXpast.{layer}.key and .value, outputs PREFIXpresent...
struct GraphCaches {
  std::string prefix;
  std::vector<int> layers;  // empty: none
  std::int32_t kv_heads = 0;
  std::int32_t head_dim = 0;
  std::int32_t slots = 0;
};

/// "PREFIXpast.3.key": `time` is "past" or "present".
[[nodiscard]] std::string cache_name(const GraphCaches& caches, const char* time, int layer, bool values);

/// An open graph and its caches. Used by one thread at a time.
class Graph {
 public:
  virtual ~Graph() = default;
  Graph() = default;
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  /// Runs the graph on what its inputs hold: `width` rows of a slot, `rows` of them wanted; where
  /// none is, the first that its input `rows` names may be scored all the same. Throws
  /// EngineError; CapacityError where memory does not suffice.
  virtual void run(Slot slot, int width, int rows) = 0;

  /// Makes room for `places` of a slot; its first `filled` stay. Throws CapacityError where there is none.
  virtual void reserve(Slot slot, int places, int filled) = 0;

  /// Moves a slot's places at `offsets` behind `base`, ascending, to base, base + 1, ...
  virtual void keep(Slot slot, int base, std::span<const std::int32_t> offsets) = 0;

  /// Forgets a slot.
  virtual void clear(Slot slot) noexcept = 0;
};

/// The heads that a loop may run: those without caches of their own.
struct LoopHeads {
  bool sequential = true;           // else one graph gives the scores of all depths
  std::vector<std::string> graphs;  // by depth; empty: the model has no heads
  std::vector<Token> draft_ids;     // tokens that they score, ascending; empty: all
};

/// Opens the graphs of one model directory.
class Backend {
 public:
  virtual ~Backend() = default;
  Backend() = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;

  /// `name` is that of the file without its ending: "verify", "draft", "draft_2". The signature's memory
  /// outlives the graph. Throws ModelFormatError if there is no such graph or it has another signature,
  /// UnsupportedError where the backend lacks an operator.
  [[nodiscard]] virtual std::unique_ptr<Graph> open(const std::string& name, const Signature& signature,
                                                    const GraphCaches& caches) = 0;

  /// The loop that the backend runs by itself over the graphs "verify" and `heads`, which are open and
  /// outlive it, for the slots of an engine; null: it runs none. Throws CapacityError where memory does not
  /// suffice.
  [[nodiscard]] virtual std::unique_ptr<DeviceLoop> make_loop(const EngineInfo& /*info*/,
                                                              const LoopHeads& /*heads*/) {
    return nullptr;
  }

  /// Rows of a slot in one run, at most.
  [[nodiscard]] virtual int max_width() const noexcept = 0;

  /// Bytes that a stored tensor of `model` takes as the backend holds it.
  [[nodiscard]] virtual std::size_t weight_bytes(const ModelDir& model, const std::string& tensor) const {
    return model.tensor(tensor).bytes.size();
  }
};

}  // namespace mtp_rt::graphs
