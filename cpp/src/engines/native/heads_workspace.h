// Memory that one draft call computes in; sized when the engine opens.
#pragma once

#include <span>
#include <vector>

#include "base/aligned_buffer.h"
#include "engines/native/greedy.h"
#include "engines/native/workspace.h"
#include "mtp_rt/model_config.h"

namespace mtp_rt::native {

/// A vector per row and the sums of squares of its blocks.
struct RowVectors {
  RowVectors(int rows, int size);

  [[nodiscard]] float* columns(int block) const noexcept { return memory.as<float>().data() + block * kUnit; }

  AlignedBuffer memory;        // [rows, size]
  std::vector<float> squares;  // [rows, size / 32]
};

struct HeadsWorkspace {
  /// For models with extra heads; `scores` entries per row.
  HeadsWorkspace(const ModelConfig& config, int max_rows, int threads, int scores);

  /// The parts of the softmax of a row's scores at one depth [segments].
  [[nodiscard]] std::span<SoftmaxPart> softmax_of(std::size_t row, std::size_t depth) noexcept {
    return std::span(sums).subspan((row * depths + depth) * segments, segments);
  }

  int max_rows;
  std::size_t depths;
  std::size_t segments;      // of a row's scores
  AlignedBuffer origin;      // [rows, hidden] what the first head reads
  RowVectors state;          // of the head that ran last
  RowVectors embedded;       // the embedding of the token before the draft
  ActivationBuffer tapped;   // input of fuse
  ActivationBuffer input;    // of a head
  ActivationBuffer hidden;   // input of down
  ActivationBuffer to_head;  // input of the output matrix
  AlignedBuffer logits;      // [rows, scores]
  std::vector<float> unit_maxima;
  std::vector<float> ones;        // [rows]
  std::vector<SoftmaxPart> sums;  // [rows, depths, segments]
  std::vector<Token> drafts;      // [rows] the token drafted last
  std::vector<ThreadScratch> threads;
  std::vector<AlignedBuffer> segment_copies;  // [threads] of kSegment floats
};

}  // namespace mtp_rt::native
