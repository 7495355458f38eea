// What the launching functions share.
#pragma once

#include <cuda_runtime_api.h>

#include <string>

#include "kernels/step_types.h"
#include "mtp_rt/error.h"
#include "runtime/error.h"

namespace mtp_rt::cuda {

inline void check_rows(const StepRows& rows) {
  if (rows.batch >= 1 && rows.batch <= 65535 && rows.width >= 1 && rows.width <= kMaxWidth) return;
  throw ArgumentError("step: " + std::to_string(rows.batch) + " sequences of " + std::to_string(rows.width) +
                      " rows; 1 .. 65535 of 1 .. " + std::to_string(kMaxWidth) + " are possible");
}

inline void check_vocab(std::int32_t vocab) {
  if (vocab >= 1 && vocab <= kMaxVocab) return;
  throw ArgumentError("vocab: " + std::to_string(vocab) + " is outside 1 .. " + std::to_string(kMaxVocab));
}

inline void check_launch(const char* kernel) { check(cudaGetLastError(), kernel); }

[[nodiscard]] inline unsigned blocks_for(std::size_t items, unsigned threads) {
  return static_cast<unsigned>((items + threads - 1) / threads);
}

}  // namespace mtp_rt::cuda
