// Memory that one verify call computes in; sized when the engine opens.
#pragma once

#include <cstddef>
#include <vector>

#include "base/aligned_buffer.h"
#include "engines/native/attention.h"
#include "engines/native/kernels/kernel_table.h"
#include "engines/native/packed_weights.h"
#include "mtp_rt/model_config.h"

namespace mtp_rt::native {

/// Owner of an Activations view for up to `rows` rows of 32 * `blocks` inputs.
class ActivationBuffer {
 public:
  ActivationBuffer(int rows, int blocks);
  [[nodiscard]] const Activations& view() const noexcept { return view_; }

 private:
  AlignedBuffer memory_;
  Activations view_{};
};

/// What belongs to one thread.
struct ThreadScratch {
  AlignedBuffer unit_memory;      // two units of [rows, 32]
  std::vector<float> row_scale;   // [rows] 1 / rms of each row
  std::vector<float> head_scale;  // [rows] the same, of rows that want logits
  std::vector<float> maxima;      // [rows] of the thread's share of the logits

  [[nodiscard]] float* unit(int index, int rows) const noexcept {
    return unit_memory.as<float>().data() +
           static_cast<std::size_t>(index) * static_cast<std::size_t>(rows) * kUnit;
  }
};

/// What a thread attends with.
struct AttentionScratch {
  ActivationBuffer block;  // [rows] of one unit
  AttentionWorker worker;
};

struct Workspace {
  Workspace(const ModelConfig& config, const KvCache& cache, int max_rows, int context, int threads);

  std::size_t width;           // of the residual
  AlignedBuffer residual;      // [rows, width]
  std::vector<float> squares;  // [rows, width / 32] sums of squares of the residual
  std::vector<float> cosines;  // [rows, head_dim]
  std::vector<float> sines;    // [rows, head_dim], negative in even dimensions
  AttentionMemory attention;
  ActivationBuffer normed;         // input of qkv and gate_up
  ActivationBuffer attended;       // input of out
  ActivationBuffer hidden;         // input of down
  ActivationBuffer head_input;     // rows that want logits, compact
  std::vector<float> unit_maxima;  // [vocabulary units, rows]
  std::vector<float> ones;         // [rows]
  std::vector<ThreadScratch> threads;
  std::vector<AttentionScratch> attention_threads;
};

}  // namespace mtp_rt::native
