// What concerns one sequence of a step must not end the others.
#pragma once

#include <exception>

#include "mtp_rt/decoder.h"

namespace mtp_rt {

/// Calls `action`; an exception becomes the error of `result`.
template <typename Action>
void guarded(StepResult& result, Action action) {
  try {
    action();
  } catch (const std::exception& error) {
    result.error = error.what();
  }
}

}  // namespace mtp_rt
