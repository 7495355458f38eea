// What a step of the loop is asked for, checked before the GPU sees it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "mtp_rt/device_loop.h"
#include "mtp_rt/error.h"

namespace mtp_rt::cuda {

struct StepLimits {
  std::int32_t max_rows = 0;
  std::int32_t max_depths = 0;
  std::int32_t vocab = 0;
};

/// Throws ArgumentError unless the row's drafts and depths are within the limits, and its drafts are tokens
/// whose parents stand before them: the GPU's memory is read by them.
inline void check_step(const LoopRow& row, const StepLimits& limits) {
  const std::string of_slot = " of slot " + std::to_string(row.slot);
  const auto refuse = [&](const char* field, std::int64_t found, const std::string& problem) {
    throw ArgumentError(std::string(field) + ": " + std::to_string(found) + of_slot + problem);
  };
  if (row.drafts < 0 || row.drafts >= limits.max_rows) {
    refuse("drafts", row.drafts, "; 0 .. " + std::to_string(limits.max_rows - 1) + " are possible");
  }
  if (row.depths < 0 || row.depths > limits.max_depths) {
    refuse("depths", row.depths, "; 0 .. " + std::to_string(limits.max_depths) + " are possible");
  }
  if (row.drafts == 0) return;
  const std::size_t nodes = row.tree == nullptr ? 0 : row.tree->tokens.size();
  const std::size_t parents = row.tree == nullptr ? 0 : row.tree->parents.size();
  if (nodes != parents || nodes < static_cast<std::size_t>(row.drafts)) {
    refuse("drafts", row.drafts,
           ", and its tree has " + std::to_string(nodes) + " tokens and " + std::to_string(parents) +
               " parents");
  }
  for (std::int32_t i = 0; i < row.drafts; ++i) {
    const Token token = row.tree->tokens[static_cast<std::size_t>(i)];
    const std::int32_t parent = row.tree->parents[static_cast<std::size_t>(i)];
    if (token < 0 || token >= limits.vocab) refuse("tree", token, " is no token of the vocabulary");
    if (parent < 0 || parent > i) {
      refuse("tree", parent, ": node " + std::to_string(i) + " has no parent before it");
    }
  }
}

}  // namespace mtp_rt::cuda
