// The graphs "draft", "draft_2", ...: the extra heads behind a slot's last committed row.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/aligned_buffer.h"
#include "engines/draft_rows.h"
#include "engines/graphs/graph.h"
#include "engines/graphs/pending_rows.h"
#include "mtp_rt/engine.h"
#include "sampling/token_noise.h"

namespace mtp_rt::graphs {

class HeadsGraphs {
 public:
  /// Opens the draft graphs of `model`, whose heads are `heads`; the backend runs more rows at once than
  /// there are heads.
  HeadsGraphs(Backend& backend, const ModelDir& model, const HeadsConfig& heads, int slots);
  HeadsGraphs(const HeadsGraphs&) = delete;  // its graphs read and write its memory
  HeadsGraphs& operator=(const HeadsGraphs&) = delete;

  /// The next committed row of `slot`.
  void keep(Slot slot, Token token, std::span<const float> state);
  void clear(Slot slot);

  /// Proposes tokens for one sequence of a draft call.
  void draft(const HeadRow& row, const DraftOutputs& outputs);

 private:
  /// The oldest pending rows of a slot, and the tokens behind its last committed row.
  struct Run {
    Slot slot = 0;
    const PendingRows& pending;
    int rows = 0;
    std::vector<Token> behind;
  };

  void open_graphs(Backend& backend, const ModelConfig& config, int slots);
  [[nodiscard]] Signature signature(const ModelConfig& config);
  void run_depth(const Run& run, int depth);
  void run_all_depths(const Run& run);
  void finish_oldest(Slot slot, PendingRows& pending, int rows);
  void reserve(Slot slot, const PendingRows& pending, int rows);
  void call(Graph& graph, const Run& run, int length, int rows);
  [[nodiscard]] int width(const Run& run, int depth) const noexcept;
  void choose_at(const HeadRow& row, int depth, const DraftOutputs& outputs) const;

  HeadsConfig heads_;
  bool attends_;
  bool sequential_;
  int open_;  // newest rows that are not final in the caches
  std::size_t hidden_;
  std::size_t scores_;
  ScoredTokens scored_;
  std::vector<PendingRows> pending_;  // by slot
  int max_rows_;
  std::vector<std::int64_t> tokens_;
  std::int64_t length_ = 0;
  std::int64_t row_ = 0;
  AlignedBuffer states_;
  AlignedBuffer next_states_;
  AlignedBuffer logits_;
  std::vector<std::unique_ptr<Graph>> graphs_;  // by module
};

}  // namespace mtp_rt::graphs
