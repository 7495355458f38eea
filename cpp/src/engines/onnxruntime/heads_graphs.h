// draft.onnx, draft_2.onnx, ...: the extra heads behind a slot's last committed row.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "base/aligned_buffer.h"
#include "engines/draft_rows.h"
#include "engines/onnxruntime/bound_graph.h"
#include "engines/onnxruntime/pending_rows.h"
#include "mtp_rt/engine.h"
#include "sampling/token_noise.h"

namespace mtp_rt::onnxruntime {

class HeadsGraphs {
 public:
  /// Opens the draft graphs of `model`, whose heads are `heads`.
  HeadsGraphs(const Runtime& runtime, const ModelDir& model, const HeadsConfig& heads, int slots);
  HeadsGraphs(const HeadsGraphs&) = delete;  // graphs are bound to its memory
  HeadsGraphs& operator=(const HeadsGraphs&) = delete;

  /// The next committed row of `slot`.
  void keep(Slot slot, Token token, std::span<const float> state);
  void clear(Slot slot);

  /// Proposes tokens for one sequence of a draft call.
  void draft(const HeadRow& row, const DraftOutputs& outputs);

  /// Weights read per draft of one depth.
  [[nodiscard]] std::size_t bytes_per_depth(const ModelConfig& config) const;

 private:
  struct Sequence {
    PendingRows pending;
    SlotCache cache;  // a layer for each module that attends
  };
  /// The oldest pending rows of a sequence, and the tokens behind its last committed row.
  struct Run {
    const Sequence& sequence;
    int rows = 0;
    std::vector<Token> behind;
  };

  void open_graphs(const Runtime& runtime, const ModelDir& model);
  [[nodiscard]] Signature signature(const ModelConfig& config);
  void run_depth(const Run& run, int depth);
  void run_all_depths(const Run& run);
  void finish_oldest(Sequence& sequence, int rows);
  void reserve(Sequence& sequence, int rows) const;
  void call(BoundGraph& graph, const Sequence& sequence, int length, int rows);
  [[nodiscard]] int width(const Run& run, int depth) const noexcept;
  void choose_at(const HeadRow& row, int depth, const DraftOutputs& outputs) const;

  HeadsConfig heads_;
  bool attends_;
  bool sequential_;
  int open_;  // newest rows that are not final in the caches
  std::size_t hidden_;
  std::size_t scores_;
  CacheShape shape_;
  ScoredTokens scored_;
  std::vector<Sequence> sequences_;
  std::vector<std::int64_t> tokens_;
  std::int64_t length_ = 0;
  std::int64_t row_ = 0;
  AlignedBuffer states_;
  AlignedBuffer next_states_;
  AlignedBuffer logits_;
  std::deque<BoundGraph> graphs_;  // by module
};

}  // namespace mtp_rt::onnxruntime
