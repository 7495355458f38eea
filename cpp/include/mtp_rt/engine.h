// What an engine does: run rows through a model, keep the accepted ones, forget the rest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "mtp_rt/model_dir.h"
#include "mtp_rt/sampling.h"
#include "mtp_rt/token.h"

namespace mtp_rt {

/// What a caller may rely on; known when the engine is open.
struct EngineInfo {
  std::string name;    // "native"
  std::string isa;     // "avx512_vnni"; empty where there is none
  std::string device;  // "cpu"
  std::int32_t threads = 0;
  std::int32_t slots = 0;     // sequences held at once
  std::int32_t context = 0;   // positions per slot
  std::int32_t max_rows = 0;  // rows per verify call
  std::int32_t vocab_size = 0;
  std::int32_t hidden_size = 0;
  std::int32_t layers = 0;
  std::int32_t extra_heads = 0;   // heads 2..n
  bool row_invariant = false;     // a row's bits do not depend on the rows beside it
  std::size_t weight_bytes = 0;   // read per plain step
  std::size_t head_bytes = 0;     // read per draft step of one depth
  std::vector<float> acceptance;  // [extra_heads] measured before: chance of draft k where those before it
                                  // stood; empty: unknown
};

/// One row of a verify call: a token at a position of a slot.
///
/// The rows of a slot stand together. The first has parent -1: it follows the slot's last committed position.
/// Any other names, by index into the call, the earlier row of the same slot that it follows. Its position is
/// its parent's plus one.
struct VerifyRow {
  Slot slot = 0;
  Token token = 0;
  std::int32_t position = 0;
  std::int32_t parent = -1;
  bool wants_logits = false;
  bool wants_state = false;  // trunk state after the final norm
};

/// Where verify() writes. Row i of a view belongs to the i-th row that asked for it, in call order.
struct VerifyOutputs {
  std::span<float> logits;  // [rows wanting logits, vocab_size]
  std::span<float> states;  // [rows wanting states, hidden_size]
  std::span<const std::int32_t>
      taps;                 // layers whose output (residual stream) is wanted, ascending; 0 = first layer
  std::span<float> tapped;  // [rows wanting states, taps, hidden_size]
};

/// What a slot wants drafted: tokens behind its last committed one.
struct DraftRow {
  Slot slot = 0;
  Token token = 0;         // the last committed one, at position length(slot): not in the cache yet
  std::int32_t count = 0;  // depths wanted, 1 .. info().extra_heads
  std::int32_t width = 1;  // candidates per depth, 1 .. kMaxDraftWidth; the first is drafted on from
  const SamplingParams* params = nullptr;  // never null; temperature, filters and seed rank the candidates
};

inline constexpr std::int32_t kMaxDraftWidth = 8;

/// Where draft() writes: row after row, depth after depth, candidate after candidate, best first.
///
/// What the filters leave out comes last, with chance 0, and so does everything where a head's scores are not
/// numbers.
struct DraftOutputs {
  std::span<Token> tokens;   // [sum of count * width]
  std::span<float> chances;  // same; the head's own probability of the token, after temperature and filters
};

/// The rows of the last verify call that one slot keeps: indices into that call, a path from the slot's first
/// row.
struct KeptRows {
  Slot slot = 0;
  std::span<const std::int32_t> rows;
};

class DeviceLoop;

/// A loaded model with a KV cache of `slots` sequences. Used by one thread at a time.
///
/// Every call leaves all slots as they were if it throws.
class Engine {
 public:
  virtual ~Engine() = default;
  Engine() = default;
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  [[nodiscard]] virtual const EngineInfo& info() const noexcept = 0;

  /// Committed positions of `slot`.
  [[nodiscard]] virtual std::int32_t length(Slot slot) const = 0;

  /// Runs `rows` behind each slot's committed positions. Nothing is committed.
  /// Throws ArgumentError on a malformed row or output size, CapacityError beyond max_rows or the context.
  virtual void verify(std::span<const VerifyRow> rows, const VerifyOutputs& outputs) = 0;

  /// Commits rows of the last verify call; slots not named keep none. Each slot at most once.
  virtual void commit(std::span<const KeptRows> kept) = 0;

  /// Proposes tokens with the extra heads, from the state of each slot's last committed row. Changes nothing
  /// that verify() computes.
  /// Throws UnsupportedError without extra heads, ArgumentError on a malformed row, a slot without committed
  /// positions or a wrong output size.
  virtual void draft(std::span<const DraftRow> rows, const DraftOutputs& outputs) = 0;

  /// Empties `slot`.
  virtual void release(Slot slot) = 0;

  /// The loop that the engine can run by itself; null: it has none. Lives as long as the engine.
  [[nodiscard]] virtual DeviceLoop* device_loop() noexcept { return nullptr; }
};

struct EngineOptions {
  std::string engine = "native";
  std::string isa;           // empty: MTP_RT_ISA, or else the best this CPU has
  std::int32_t threads = 0;  // 0: one per available core
  std::int32_t slots = 1;
  std::int32_t context = 0;            // 0: the model's
  std::int32_t max_rows = 128;         // rows per verify call
  std::optional<bool> two_stage_head;  // empty: as the model directory says
  std::string provider = "cpu";        // of engine "onnxruntime": cpu, cuda
  std::string library;  // of engines "onnxruntime" and "tensorrt": their shared library; empty:
                        // the system's
};

/// Opens the engine that `options.engine` names.
/// Throws ArgumentError on an unknown engine or a value out of range, UnsupportedError where the machine
/// lacks what was asked for, ModelFormatError on a damaged model.
[[nodiscard]] std::unique_ptr<Engine> open_engine(std::shared_ptr<const ModelDir> model,
                                                  const EngineOptions& options);

}  // namespace mtp_rt
