// One thread's part of one extra head over the rows of a stage: from the states before it to its own.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "engines/native/heads.h"
#include "engines/native/layer_step.h"

namespace mtp_rt::native {

class HeadStep {
 public:
  HeadStep(Heads& heads, std::span<const HeadRow> sequences, const HeadsStage& stage, int depth,
           const DraftOutputs& outputs, int thread);

  /// Makes what the trunk left of the rows' positions the states that the first head reads.
  void load_states() const;

  /// Computes the head's states, and hands those that are scored to the output matrix.
  void run() const;

  /// Reads the scales of the head's output norm; behind run() and a barrier.
  void read_scales() const;
  /// Those of the states that are scored, 1 without a norm, where LmHead looks for them.
  void put_head_scales() const;

  /// Makes the states what the next head reads: normed, and the scored ones alone where it goes on from them.
  void feed_on() const;

 private:
  [[nodiscard]] Range my_blocks() const { return share(blocks_, thread_, h_.pool_.threads()); }
  [[nodiscard]] float* columns(const AlignedBuffer& vectors, int block) const {
    return vectors.as<float>().data() + static_cast<std::ptrdiff_t>(block) * kUnit;
  }
  [[nodiscard]] const AlignedBuffer& source() const;
  [[nodiscard]] Token token_of(const BatchRow& row) const;

  // values() = 32 columns of every row.
  void gather(const float* from) const;
  // The reverse.
  void scatter(float* to) const;
  // values() *= gain x each row's scale.
  void normalise(std::span<const float> gain, int block, std::span<const float> scales) const;
  // state = values() in 32 columns; values() *= gain.
  void set_state(int block, int rows, std::span<const float> gain) const;
  void put_origin(int block) const;

  void read_input() const;
  void embed() const;
  void read_pair() const;
  void enter_block() const;
  void run_block() const;
  void run_product(const Product& product, const Activations& input) const;
  void put_output(int block) const;

  Heads& h_;
  HeadsWorkspace& w_;
  Workspace& l_;
  const HeadModule& m_;
  const KernelTable& k_;
  std::span<const HeadRow> sequences_;
  const HeadsStage& stage_;
  const DraftOutputs& outputs_;
  int depth_;
  int thread_;
  LayerStep layer_;
  ThreadScratch& s_;
  std::vector<float>& scales_;  // [rows]
  int rows_;
  int blocks_;  // of a state
  std::size_t width_;
};

}  // namespace mtp_rt::native
