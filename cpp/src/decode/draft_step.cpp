// The last part of a step: drafts for the next one.
#include <algorithm>
#include <chrono>
#include <exception>

#include "decode/draft_plan.h"
#include "decode/guarded.h"
#include "decode/running_costs.h"
#include "mtp_rt/decoder.h"

namespace mtp_rt {

/// Lets the sequences that go on propose what the next step verifies; the heads draft for all of them at
/// once.
void HostStepper::draft(std::span<Work> works) {
  const Clock::time_point start = options_.now();
  std::vector<Work*> going;
  std::vector<DraftWish> wishes;
  std::int32_t rows = 0;  // of the next call, without drafts
  for (Work& work : works) {
    if (work.result->error || work.sequence->finish()) continue;
    ++rows;
    if (work.first_logits < 0) continue;
    going.push_back(&work);
    DraftWish& wish = wishes.emplace_back();
    wish.adaptive = work.sequence->request().drafts.adaptive;
    guarded(*work.result, [&] { wish.prospects = work.sequence->prospects(); });
    const std::int32_t most = engine_.info().extra_heads * wish.prospects.width;
    wish.prospects.chances.resize(std::min(wish.prospects.chances.size(), static_cast<std::size_t>(most)));
  }
  if (going.empty()) return;
  const std::vector<DraftShare> shares =
      plan_drafts(wishes, rows, {costs_->verify.for_next_call(), costs_->draft.expected()});
  run_heads(going, shares);
  std::size_t first = 0;
  for (std::size_t i = 0; i < going.size(); ++i) {
    const auto count = static_cast<std::size_t>(shares[i].depths * shares[i].width);
    const HeadDrafts drafted{shares[i].width, std::span(head_tokens_).subspan(first, count),
                             std::span(head_chances_).subspan(first, count)};
    first += count;
    if (going[i]->result->error) continue;
    guarded(*going[i]->result, [&] { going[i]->sequence->draft(drafted); });
  }
  const Clock::duration spent = options_.now() - start;
  for (Work* work : going) work->sequence->spend_drafting(spent);
}

/// Fills head_tokens_ and head_chances_; an error of the engine is in the results of all that take part.
void HostStepper::run_heads(std::span<Work* const> works, std::span<const DraftShare> shares) {
  std::vector<DraftRow> rows;
  std::vector<std::int32_t> slots;  // by depth
  std::size_t total = 0;
  for (std::size_t i = 0; i < works.size(); ++i) {
    const DraftShare& share = shares[i];
    if (share.depths == 0) continue;
    const Sequence& sequence = *works[i]->sequence;
    rows.push_back({.slot = sequence.slot(),
                    .token = sequence.tokens().back(),
                    .count = share.depths,
                    .width = share.width,
                    .params = &sequence.request().params});
    total += static_cast<std::size_t>(share.depths * share.width);
    slots.resize(std::max(slots.size(), static_cast<std::size_t>(share.depths)));
    for (std::int32_t depth = 0; depth < share.depths; ++depth) ++slots[static_cast<std::size_t>(depth)];
  }
  head_tokens_.resize(total);
  head_chances_.resize(total);
  if (rows.empty()) return;
  try {
    const Clock::time_point start = options_.now();
    engine_.draft(rows, {head_tokens_, head_chances_});
    const std::chrono::duration<double, std::milli> time = options_.now() - start;
    if (has_costs()) observe_depths(costs_->draft, slots, time.count());
  } catch (const std::exception& error) {
    for (std::size_t i = 0; i < works.size(); ++i) {
      if (shares[i].depths > 0) works[i]->result->error = error.what();
    }
  }
}

}  // namespace mtp_rt
