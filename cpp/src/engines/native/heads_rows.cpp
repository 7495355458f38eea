#include "engines/native/heads_rows.h"

#include <algorithm>
#include <string>

#include "mtp_rt/error.h"
#include "mtp_rt/sampling.h"

namespace mtp_rt::native {
namespace {

[[noreturn]] void refuse(std::size_t row, const char* field, const std::string& found,
                         const std::string& expected) {
  throw ArgumentError("rows[" + std::to_string(row) + "]." + field + " is " + found + "; expected " +
                      expected);
}

void demand(std::size_t row, const char* field, std::int32_t value, std::int32_t least,
            std::int32_t greatest) {
  if (value >= least && value <= greatest) return;
  refuse(row, field, std::to_string(value), std::to_string(least) + " .. " + std::to_string(greatest));
}

HeadRow checked(const DraftRow& row, std::size_t index, const EngineInfo& info,
                const std::function<std::int32_t(Slot)>& length) {
  demand(index, "slot", row.slot, 0, info.slots - 1);
  demand(index, "token", row.token, 0, info.vocab_size - 1);
  demand(index, "count", row.count, 1, info.extra_heads);
  demand(index, "width", row.width, 1, kMaxDraftWidth);
  if (row.params == nullptr) refuse(index, "params", "null", "sampling parameters");
  check(*row.params, info.vocab_size);
  const std::int32_t position = length(row.slot);
  if (position == 0) refuse(index, "slot", std::to_string(row.slot), "a slot with committed positions");
  return {row.slot, row.token, position, row.count, row.width, row.params, 0};
}

void check_size(const char* name, std::size_t have, std::size_t want) {
  if (have == want) return;
  throw ArgumentError(std::string("outputs.") + name + " has " + std::to_string(have) +
                      " elements; the rows want " + std::to_string(want));
}

}  // namespace

std::vector<HeadRow> plan_drafts(std::span<const DraftRow> rows, const DraftOutputs& outputs,
                                 const EngineInfo& info, const std::function<std::int32_t(Slot)>& length) {
  std::vector<HeadRow> plan;
  std::size_t output = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    HeadRow row = checked(rows[i], i, info, length);
    if (std::ranges::find(plan, row.slot, &HeadRow::slot) != plan.end()) {
      refuse(i, "slot", std::to_string(row.slot), "each slot at most once");
    }
    row.output = output;
    output += static_cast<std::size_t>(row.count) * static_cast<std::size_t>(row.width);
    plan.push_back(row);
  }
  check_size("tokens", outputs.tokens.size(), output);
  check_size("chances", outputs.chances.size(), output);
  std::ranges::stable_sort(plan, std::greater<>(), &HeadRow::count);
  return plan;
}

}  // namespace mtp_rt::native
