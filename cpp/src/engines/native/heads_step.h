// One thread's part of a draft call.
#pragma once

#include <cstddef>
#include <span>

#include "engines/native/heads.h"

namespace mtp_rt::native {

/// The depths of a call, in order: each reads its input, computes the head's state, scores it and chooses
/// tokens. A phase ends in a barrier where another thread's results come next.
class HeadsStep {
 public:
  HeadsStep(Heads& heads, std::span<const HeadRow> rows, const DraftOutputs& outputs, int thread);

  /// Runs all depths; every thread of the pool calls it.
  void run();

 private:
  [[nodiscard]] Range my_blocks() const { return share(blocks_, thread_, h_.pool_.threads()); }
  [[nodiscard]] float* values() const { return s_.unit(0, rows_); }

  // Copies 32 columns of every row's vector to `values()`.
  void gather(const float* columns) const;
  // vectors += values() in 32 columns, their squares too; values() = the sums times the gain.
  void add_to(RowVectors& vectors, int block, std::span<const float> gain) const;
  void set_zero(const RowVectors& vectors, int block) const;
  [[nodiscard]] float scale_of(const RowVectors& vectors, int row) const;

  void load_states() const;
  void fuse_taps() const;
  void begin_state(int block) const;

  void read_input(const HeadModule& module) const;
  void embed() const;
  void normalise_pair(const HeadModule& module) const;
  void apply(const HeadModule& module) const;
  // The head's output in 32 columns is values(): on to the state and the output matrix.
  void put_state(const HeadModule& module, int block) const;
  void score() const;
  void choose() const;
  void choose_tokens(std::size_t row) const;
  void sum_segment(std::size_t row, std::size_t segment) const;
  void normalise_state(const HeadModule& module) const;

  Heads& h_;
  HeadsWorkspace& w_;
  ThreadScratch& s_;
  const KernelTable& k_;
  std::span<const HeadRow> all_;
  const DraftOutputs& outputs_;
  int thread_;
  int blocks_;  // of a state
  std::size_t width_;
  int depth_ = 0;
  int rows_;  // that draft at this depth
};

}  // namespace mtp_rt::native
