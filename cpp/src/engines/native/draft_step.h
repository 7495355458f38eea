// One thread's part of a draft call: heads over their rows, depth after depth, their scores, and the tokens
// chosen by them.
#pragma once

#include <cstddef>
#include <span>

#include "engines/native/heads.h"

namespace mtp_rt::native {

class DraftStep {
 public:
  /// Stage d is that of depth d.
  DraftStep(Heads& heads, std::span<const HeadRow> sequences, std::span<const HeadsStage> stages,
            const DraftOutputs& outputs, int thread)
      : h_(heads),
        w_(heads.workspace_),
        sequences_(sequences),
        stages_(stages),
        outputs_(outputs),
        thread_(thread) {}

  /// Runs all depths; every thread of the pool calls it.
  void run() const;

 private:
  void score(int depth, std::size_t sequences) const;
  void choose(std::size_t depth, std::size_t sequences) const;
  void choose_tokens(std::size_t depth, std::size_t sequence, std::size_t sequences) const;
  void sum_segment(std::size_t depth, std::size_t sequence, std::size_t segment) const;
  [[nodiscard]] std::span<const float> scores_of(std::size_t sequence) const;

  Heads& h_;
  HeadsWorkspace& w_;
  std::span<const HeadRow> sequences_;
  std::span<const HeadsStage> stages_;
  const DraftOutputs& outputs_;
  int thread_;
};

}  // namespace mtp_rt::native
