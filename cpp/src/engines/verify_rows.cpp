#include "engines/verify_rows.h"

#include <algorithm>
#include <string>

#include "engines/call_checks.h"
#include "mtp_rt/error.h"

namespace mtp_rt {
namespace {

void check_fields(const VerifyRow& row, std::size_t i, const EngineInfo& info) {
  check_row(i, "slot", row.slot, 0, info.slots - 1);
  check_row(i, "token", row.token, 0, info.vocab_size - 1);
}

// Opens a segment at a slot's first row, which follows the committed positions.
void begin_segment(VerifyPlan& plan, const VerifyRow& row, std::size_t i, int base) {
  for (const Segment& s : plan.segments) {
    if (s.slot == row.slot)
      refuse_row(i, "slot", std::to_string(row.slot), "the rows of a slot to stand together");
  }
  if (row.parent != -1) refuse_row(i, "parent", std::to_string(row.parent), "-1 for a slot's first row");
  if (row.position != base)
    refuse_row(i, "position", std::to_string(row.position),
               std::to_string(base) + ", the slot's committed length");
  plan.segments.push_back({row.slot, static_cast<int>(i), 0, base, true});
}

void check_parent(std::span<const VerifyRow> rows, const Segment& segment, std::size_t i) {
  const VerifyRow& row = rows[i];
  if (row.parent < segment.first_row || row.parent >= static_cast<std::int32_t>(i)) {
    refuse_row(i, "parent", std::to_string(row.parent), "an earlier row of the same slot");
  }
  const int expected = rows[static_cast<std::size_t>(row.parent)].position + 1;
  if (row.position != expected)
    refuse_row(i, "position", std::to_string(row.position),
               std::to_string(expected) + ", its parent's plus one");
}

std::vector<std::int32_t> offsets_of(const KeptRows& kept, const Segment& segment, const VerifyPlan& plan) {
  std::vector<std::int32_t> offsets;
  std::int32_t parent = -1;
  for (const std::int32_t row : kept.rows) {
    const std::int32_t offset = row - segment.first_row;
    if (offset < 0 || offset >= segment.rows || plan.parents[static_cast<std::size_t>(row)] != parent) {
      throw ArgumentError("commit: row " + std::to_string(row) + " does not follow row " +
                          std::to_string(parent) + " in slot " + std::to_string(kept.slot));
    }
    offsets.push_back(offset);
    parent = row;
  }
  return offsets;
}

}  // namespace

VerifyPlan plan_verify(std::span<const VerifyRow> rows, const EngineInfo& info,
                       const std::function<std::int32_t(Slot)>& length) {
  if (rows.size() > static_cast<std::size_t>(info.max_rows)) {
    throw CapacityError("verify: " + std::to_string(rows.size()) + " rows; the engine was opened for " +
                        std::to_string(info.max_rows) + " (max_rows)");
  }
  VerifyPlan plan;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const VerifyRow& row = rows[i];
    check_fields(row, i, info);
    if (plan.segments.empty() || plan.segments.back().slot != row.slot) {
      begin_segment(plan, row, i, length(row.slot));
    } else {
      check_parent(rows, plan.segments.back(), i);
    }
    if (row.position >= info.context) {
      throw CapacityError("rows[" + std::to_string(i) + "].position is " + std::to_string(row.position) +
                          "; the context holds " + std::to_string(info.context) + " positions");
    }
    Segment& segment = plan.segments.back();
    segment.chain = segment.chain && (segment.rows == 0 || row.parent == static_cast<std::int32_t>(i) - 1);
    ++segment.rows;
    plan.parents.push_back(row.parent);
    if (row.wants_logits) plan.logit_rows.push_back(static_cast<std::int32_t>(i));
    if (row.wants_state) plan.state_rows.push_back(static_cast<std::int32_t>(i));
  }
  return plan;
}

void check_outputs(const VerifyPlan& plan, const VerifyOutputs& outputs, const EngineInfo& info) {
  const auto hidden = static_cast<std::size_t>(info.hidden_size);
  check_output("logits", outputs.logits.size(),
               plan.logit_rows.size() * static_cast<std::size_t>(info.vocab_size));
  check_output("states", outputs.states.size(), plan.state_rows.size() * hidden);
  check_output("tapped", outputs.tapped.size(), plan.state_rows.size() * outputs.taps.size() * hidden);
  for (std::size_t i = 0; i < outputs.taps.size(); ++i) {
    in_range("outputs.taps", outputs.taps[i], 0, info.layers - 1);
    if (i > 0 && outputs.taps[i] <= outputs.taps[i - 1]) {
      throw ArgumentError("outputs.taps must ascend; " + std::to_string(outputs.taps[i]) + " comes after " +
                          std::to_string(outputs.taps[i - 1]));
    }
  }
}

std::vector<Kept> plan_kept(std::span<const KeptRows> kept, const VerifyPlan& plan) {
  std::vector<Kept> planned;
  for (const KeptRows& k : kept) {
    for (const Kept& other : planned) {
      if (other.segment.slot == k.slot)
        throw ArgumentError("commit: slot " + std::to_string(k.slot) + " is named twice");
    }
    const auto segment = std::ranges::find(plan.segments, k.slot, &Segment::slot);
    if (segment == plan.segments.end()) {
      throw ArgumentError("commit: slot " + std::to_string(k.slot) + " has no rows in the last verify call");
    }
    planned.push_back({*segment, offsets_of(k, *segment, plan)});
  }
  return planned;
}

}  // namespace mtp_rt
