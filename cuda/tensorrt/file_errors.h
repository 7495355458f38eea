// Errors of a plan's calls, with the plan's file in front.
#pragma once

#include <string>
#include <utility>

#include "mtp_rt/error.h"

namespace mtp_rt::cuda {

/// act(), whose CapacityError and EngineError name `file` first.
template <typename Act>
void with_file(const std::string& file, Act&& act) {
  try {
    std::forward<Act>(act)();
  } catch (const CapacityError& error) {
    throw CapacityError(file + ": " + error.what());
  } catch (const EngineError& error) {
    throw EngineError(file + ": " + error.what());
  }
}

}  // namespace mtp_rt::cuda
