// A draft call, checked and in the order in which it runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "mtp_rt/engine.h"

namespace mtp_rt {

/// One sequence of a draft call.
struct HeadRow {
  Slot slot = 0;
  Token token = 0;   // at `position`, not in the cache
  int position = 0;  // committed positions of the slot
  int count = 0;
  int width = 0;
  const SamplingParams* params = nullptr;
  std::size_t output = 0;  // of its first candidate
};

/// Checks `rows` and returns those of the most depths first, so that the rows of every depth are the first
/// ones. Throws as Engine::draft() does.
[[nodiscard]] std::vector<HeadRow> plan_draft(std::span<const DraftRow> rows, const DraftOutputs& outputs,
                                              const EngineInfo& info,
                                              const std::function<std::int32_t(Slot)>& length);

}  // namespace mtp_rt
