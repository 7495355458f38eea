// The graph "verify": rows of one slot through the trunk.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/aligned_buffer.h"
#include "engines/graphs/graph.h"
#include "engines/verify_rows.h"
#include "mtp_rt/engine.h"

namespace mtp_rt::graphs {

class TrunkGraph {
 public:
  /// Opens the trunk of `model` for calls of at most `max_rows` rows.
  TrunkGraph(Backend& backend, const ModelConfig& config, int slots, int max_rows);
  TrunkGraph(const TrunkGraph&) = delete;  // its graph reads and writes its memory
  TrunkGraph& operator=(const TrunkGraph&) = delete;

  /// Runs one slot's rows of a call. `wanted`: which of them, by place in the call, give logits.
  void run(const Segment& segment, std::span<const VerifyRow> rows, std::span<const std::int32_t> wanted);

  /// Of the last run: row i belongs to the i-th wanted one.
  [[nodiscard]] std::span<const float> logits(std::size_t rows) const;
  /// Of the last run: where extra heads start from, of every row; the final norm's output where they have no
  /// taps.
  [[nodiscard]] std::span<const float> states(std::size_t rows) const;

  /// Commits rows of a run at `offsets` behind `base` positions.
  void keep(Slot slot, int base, std::span<const std::int32_t> offsets) { graph_->keep(slot, base, offsets); }
  void clear(Slot slot) noexcept { graph_->clear(slot); }

 private:
  void write_tree(const Segment& segment, std::span<const VerifyRow> rows);

  std::size_t vocab_size_;
  std::size_t hidden_size_;
  std::vector<std::int64_t> tokens_;
  std::vector<std::int64_t> positions_;
  std::vector<std::int64_t> rows_;
  std::int64_t length_ = 0;
  std::vector<std::uint8_t> tree_;
  AlignedBuffer logits_;
  AlignedBuffer states_;
  std::unique_ptr<Graph> graph_;
};

}  // namespace mtp_rt::graphs
