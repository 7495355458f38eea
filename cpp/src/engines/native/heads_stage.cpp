#include "engines/native/heads_stage.h"

#include <algorithm>

namespace mtp_rt::native {
namespace {

// Adds a row for `position` of the last segment; it reads the token at `reads`.
void add_row(Batch& batch, const HeadsMemory& memory, Token last, int position, int reads) {
  Segment& segment = batch.segments.back();
  const int end = memory.end(segment.slot);
  const Token token = reads < end    ? memory.token(segment.slot, reads)
                      : reads == end ? last
                                     : -1 - (reads - end - 1);
  batch.rows.push_back({static_cast<int>(batch.segments.size()) - 1, token, position, position, 0});
  ++segment.rows;
  batch.context_blocks = std::max(batch.context_blocks, position / kContextBlock + 1);
}

void begin_segment(Batch& batch, Slot slot, int base) {
  batch.segments.push_back({slot, static_cast<int>(batch.rows.size()), 0, base, true});
}

}  // namespace

HeadsWindow::HeadsWindow(const HeadsConfig& heads)
    : attends(heads.body == HeadBody::block),
      one_cache(heads.shared),
      open(heads.wiring == HeadWiring::sequential && !heads.shared ? heads.count : 1) {}

HeadsStage plan_stage(std::span<const HeadRow> rows, const HeadsMemory& memory, const HeadsWindow& window,
                      int depth) {
  HeadsStage stage;
  for (const HeadRow& row : rows) {
    if (row.count <= depth) break;
    const int last = memory.end(row.slot) - 1;
    const bool steps_on = window.one_cache && depth > 0;
    const bool alone = !window.attends || steps_on;
    const int shift = steps_on ? depth : 0;  // positions of a draft's own rows
    begin_segment(stage.batch, row.slot, alone ? last + shift : memory.first(row.slot));
    for (int q = alone ? last : memory.first(row.slot); q <= last; ++q) {
      add_row(stage.batch, memory, row.token, q + shift, q + depth + 1);
    }
    stage.scored.push_back(static_cast<int>(stage.batch.rows.size()) - 1);
    ++stage.sequences;
  }
  return stage;
}

HeadsStage plan_flush(Slot slot, int n, const HeadsMemory& memory, int depth) {
  HeadsStage stage;
  begin_segment(stage.batch, slot, memory.first(slot));
  for (int q = memory.first(slot); q < memory.first(slot) + n; ++q) {
    add_row(stage.batch, memory, -1, q, q + depth + 1);
  }
  stage.sequences = 1;
  return stage;
}

}  // namespace mtp_rt::native
