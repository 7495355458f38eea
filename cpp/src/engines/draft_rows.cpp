#include "engines/draft_rows.h"

#include <algorithm>
#include <string>

#include "engines/call_checks.h"
#include "mtp_rt/sampling.h"

namespace mtp_rt {
namespace {

HeadRow checked(const DraftRow& row, std::size_t index, const EngineInfo& info,
                const std::function<std::int32_t(Slot)>& length) {
  check_row(index, "slot", row.slot, 0, info.slots - 1);
  check_row(index, "token", row.token, 0, info.vocab_size - 1);
  check_row(index, "count", row.count, 1, info.extra_heads);
  check_row(index, "width", row.width, 1, kMaxDraftWidth);
  if (row.params == nullptr) refuse_row(index, "params", "null", "sampling parameters");
  check(*row.params, info.vocab_size);
  const std::int32_t position = length(row.slot);
  if (position == 0) refuse_row(index, "slot", std::to_string(row.slot), "a slot with committed positions");
  return {row.slot, row.token, position, row.count, row.width, row.params, 0};
}

}  // namespace

std::vector<HeadRow> plan_draft(std::span<const DraftRow> rows, const DraftOutputs& outputs,
                                const EngineInfo& info, const std::function<std::int32_t(Slot)>& length) {
  std::vector<HeadRow> plan;
  std::size_t output = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    HeadRow row = checked(rows[i], i, info, length);
    if (std::ranges::find(plan, row.slot, &HeadRow::slot) != plan.end()) {
      refuse_row(i, "slot", std::to_string(row.slot), "each slot at most once");
    }
    row.output = output;
    output += static_cast<std::size_t>(row.count) * static_cast<std::size_t>(row.width);
    plan.push_back(row);
  }
  check_output("tokens", outputs.tokens.size(), output);
  check_output("chances", outputs.chances.size(), output);
  std::ranges::stable_sort(plan, std::greater<>(), &HeadRow::count);
  return plan;
}

}  // namespace mtp_rt
