// Memory that one draft call computes in; sized when the engine opens.
#pragma once

#include <span>
#include <vector>

#include "base/aligned_buffer.h"
#include "engines/native/greedy.h"
#include "engines/native/workspace.h"
#include "mtp_rt/model_config.h"
#include "mtp_rt/token.h"

namespace mtp_rt::native {

/// A head computes in the same memory as a layer of the trunk: its state is the residual, its scores come
/// from head_input.
struct HeadsWorkspace {
  /// `max_rows` rows, of which `max_sequences` are scored, over `scores`
  /// entries.
  HeadsWorkspace(const ModelConfig& config, const HeadsConfig& heads, const KvCache& cache, int max_rows,
                 int max_sequences, int context, int threads, int scores);

  /// The parts of the softmax of a sequence's scores at one depth [segments].
  [[nodiscard]] std::span<SoftmaxPart> softmax_of(std::size_t sequence, std::size_t depth) noexcept {
    return std::span(sums).subspan((sequence * depths + depth) * segments, segments);
  }

  Workspace layer;
  std::size_t depths;
  std::size_t segments;                 // of a sequence's scores
  AlignedBuffer origin;                 // [rows, hidden] what the first head reads
  AlignedBuffer embedded;               // [rows, hidden] embeddings of the tokens that the heads read
  std::vector<float> embedded_squares;  // [rows, hidden / 32]
  ActivationBuffer tapped;              // input of fuse
  ActivationBuffer input;               // of a head
  AlignedBuffer logits;                 // [sequences, scores]
  std::vector<SoftmaxPart> sums;        // [sequences, depths, segments]
  std::vector<std::vector<float>> state_scales;  // [threads][rows] 1 / rms of a head's output
  std::vector<AlignedBuffer> segment_copies;     // [threads] of kSegment floats
};

}  // namespace mtp_rt::native
