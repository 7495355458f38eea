// The rows that extra heads run at one depth of a draft call.
#pragma once

#include <span>
#include <vector>

#include "engines/draft_rows.h"
#include "engines/native/batch.h"
#include "engines/native/heads_memory.h"
#include "mtp_rt/model_config.h"

namespace mtp_rt::native {

/// Rows stand by sequence, oldest position first. A sequence whose head does not attend has one row, its last
/// position; one that attends also has those whose keys and values are not final in the cache.
struct HeadsStage {
  Batch batch;              // a row's token: that which a sequential head reads; -1 - d: the row's draft d
  std::vector<int> scored;  // [sequences] the row of each that drafts; empty where none does
  int sequences = 0;
};

/// How heads of one model use positions.
struct HeadsWindow {
  explicit HeadsWindow(const HeadsConfig& heads);

  bool attends;
  bool one_cache;  // shared: a draft stands one position behind the one before it
  /// Newest positions that are not final: heads read tokens up to so many behind them. At least the last,
  /// whose state the next draft starts from.
  int open;
};

/// Rows of `rows` at `depth`, those that draft so deep: `rows` is cut to them.
[[nodiscard]] HeadsStage plan_stage(std::span<const HeadRow> rows, const HeadsMemory& memory,
                                    const HeadsWindow& window, int depth);

/// Rows that make the `n` oldest positions of `slot` final at `depth`.
[[nodiscard]] HeadsStage plan_flush(Slot slot, int n, const HeadsMemory& memory, int depth);

}  // namespace mtp_rt::native
