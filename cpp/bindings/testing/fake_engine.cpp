#include "testing/fake_engine.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <string>

#include "mtp_rt/error.h"

namespace mtp_rt::testing {
namespace {

/// splitmix64: a bijection whose outputs look independent.
std::uint64_t mix(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15U;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
  return x ^ (x >> 31);
}

std::uint64_t extend(std::uint64_t hash, Token token) {
  return mix(hash ^ mix(static_cast<std::uint32_t>(token)));
}

void refuse(std::size_t row, const std::string& problem) {
  throw ArgumentError("row " + std::to_string(row) + ": " + problem);
}

}  // namespace

FakeEngine::FakeEngine(const FakeOptions& options)
    : options_(options), committed_(static_cast<std::size_t>(options.slots)) {
  info_.name = "fake";
  info_.device = "cpu";
  info_.threads = 1;
  info_.slots = options.slots;
  info_.context = options.context;
  info_.max_rows = options.max_rows;
  info_.vocab_size = options.vocab_size;
  info_.row_invariant = true;
  info_.extra_heads = options.extra_heads;
}

std::int32_t FakeEngine::length(Slot slot) const { return static_cast<std::int32_t>(state(slot).size()); }

void FakeEngine::verify(std::span<const VerifyRow> rows, const VerifyOutputs& outputs) {
  if (++verify_calls_ == options_.fail_verify_at) throw EngineError("fake: verify was told to fail");
  if (rows.size() > static_cast<std::size_t>(options_.max_rows)) {
    throw CapacityError("rows: " + std::to_string(rows.size()) + " are more than " +
                        std::to_string(options_.max_rows));
  }
  pass(verify_ms_, rows.size());
  most_rows_ = std::max(most_rows_, static_cast<std::int32_t>(rows.size()));
  last_call_.clear();
  for (std::size_t i = 0; i < rows.size(); ++i) last_call_.push_back(run_row(rows, i));

  const auto vocab = static_cast<std::size_t>(options_.vocab_size);
  std::size_t written = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!rows[i].wants_logits) continue;
    if ((written + 1) * vocab > outputs.logits.size()) throw ArgumentError("logits: too small");
    const bool broken = verify_calls_ == options_.nan_at && rows[i].slot == options_.nan_slot;
    const std::uint64_t seed = seed_of(i);
    for (std::size_t t = 0; t < vocab; ++t) {
      const float uniform = static_cast<float>(mix(seed + t) >> 40) * 0x1p-24F;
      const float logit = 8.0F * uniform * uniform * uniform;
      outputs.logits[written * vocab + t] = broken ? std::numeric_limits<float>::quiet_NaN() : logit;
    }
    ++written;
  }
  if (written * vocab != outputs.logits.size()) throw ArgumentError("logits: too large");
}

void FakeEngine::pass(std::span<const double> times, std::size_t rows) {
  if (times.empty() || rows == 0) return;
  double ms = times[std::min(rows, times.size()) - 1];
  if (rows > times.size() && times.size() > 1) {
    ms += static_cast<double>(rows - times.size()) * (times.back() - times[times.size() - 2]);
  }
  now_ += std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double, std::milli>(ms));
}

void FakeEngine::commit(std::span<const KeptRows> kept) {
  if (++commit_calls_ == options_.fail_commit_at) throw EngineError("fake: commit was told to fail");
  std::vector<Slot> seen;
  for (const KeptRows& of_slot : kept) {
    if (std::ranges::count(seen, of_slot.slot) != 0) throw ArgumentError("kept: a slot is named twice");
    seen.push_back(of_slot.slot);
    std::int32_t parent = -1;
    for (const std::int32_t row : of_slot.rows) {
      const Row& run = last_call_.at(static_cast<std::size_t>(row));
      if (run.slot != of_slot.slot || run.parent != parent) {
        refuse(static_cast<std::size_t>(row), "kept rows are not a path of their slot");
      }
      parent = row;
    }
  }
  for (const KeptRows& of_slot : kept) {
    for (const std::int32_t row : of_slot.rows) {
      committed_[static_cast<std::size_t>(of_slot.slot)].push_back(
          last_call_[static_cast<std::size_t>(row)].place);
    }
  }
  last_call_.clear();
}

void FakeEngine::draft(std::span<const DraftRow> rows, const DraftOutputs& outputs) {
  check_draft(rows, outputs);
  if (++draft_calls_ == options_.fail_draft_at) throw EngineError("fake: draft was told to fail");
  std::size_t written = 0;
  std::vector<std::size_t> slots;  // by depth
  for (const DraftRow& row : rows) {
    const auto count = static_cast<std::size_t>(row.count);
    std::vector<Token> text;
    for (const Place& place : state(row.slot)) text.push_back(place.token);
    text.push_back(row.token);
    std::vector<std::pair<Token, float>> drafts;
    if (heads_) drafts = heads_(text, row.count, row.width);
    drafts.resize(count * static_cast<std::size_t>(row.width));
    for (const auto& [token, chance] : drafts) {
      outputs.tokens[written] = token;
      outputs.chances[written++] = chance;
    }
    slots.resize(std::max(slots.size(), count));
    for (std::size_t depth = 0; depth < count; ++depth) ++slots[depth];
    drafted_ += row.count;
  }
  for (const std::size_t width : slots) pass(draft_ms_, width);
  candidates_ += static_cast<std::int32_t>(written);
}

void FakeEngine::check_draft(std::span<const DraftRow> rows, const DraftOutputs& outputs) const {
  if (options_.extra_heads == 0) throw UnsupportedError("fake: the engine has no extra heads");
  std::size_t total = 0;
  std::vector<Slot> seen;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const DraftRow& row = rows[i];
    if (state(row.slot).empty()) refuse(i, "nothing is committed in its slot");
    if (std::ranges::count(seen, row.slot) != 0) refuse(i, "its slot is named twice");
    seen.push_back(row.slot);
    if (row.token < 0 || row.token >= options_.vocab_size) refuse(i, "token outside the vocabulary");
    if (row.count < 1 || row.count > options_.extra_heads) refuse(i, "count");
    if (row.width < 1 || row.width > kMaxDraftWidth) refuse(i, "width");
    if (row.params == nullptr) refuse(i, "no parameters");
    total += static_cast<std::size_t>(row.count * row.width);
  }
  if (outputs.tokens.size() != total || outputs.chances.size() != total) {
    throw ArgumentError("drafts: wrong output size");
  }
}

void FakeEngine::release(Slot slot) {
  static_cast<void>(state(slot));
  if (++release_calls_ == options_.fail_release_at) throw EngineError("fake: release was told to fail");
  committed_[static_cast<std::size_t>(slot)].clear();
}

const std::vector<FakeEngine::Place>& FakeEngine::state(Slot slot) const {
  if (slot < 0 || slot >= options_.slots)
    throw ArgumentError("slot " + std::to_string(slot) + " does not exist");
  return committed_[static_cast<std::size_t>(slot)];
}

FakeEngine::Row FakeEngine::run_row(std::span<const VerifyRow> rows, std::size_t index) const {
  const VerifyRow& row = rows[index];
  const std::vector<Place>& before = state(row.slot);
  if (row.token < 0 || row.token >= options_.vocab_size) refuse(index, "token outside the vocabulary");
  const bool first = index == 0 || rows[index - 1].slot != row.slot;
  if (first) {
    for (std::size_t i = 0; i < index; ++i) {
      if (rows[i].slot == row.slot) refuse(index, "the rows of its slot do not stand together");
    }
  }
  if (first != (row.parent == -1)) refuse(index, "only the first row of a slot follows the committed text");
  auto position = static_cast<std::int32_t>(before.size());
  std::uint64_t hash = before.empty() ? 0 : before.back().hash;
  if (!first) {
    if (row.parent < 0 || static_cast<std::size_t>(row.parent) >= index)
      refuse(index, "parent is not an earlier row");
    const auto parent = static_cast<std::size_t>(row.parent);
    if (rows[parent].slot != row.slot) refuse(index, "parent belongs to another slot");
    position = rows[parent].position + 1;
    hash = last_call_[parent].place.hash;
  }
  if (row.position != position)
    refuse(index, "position " + std::to_string(row.position) + " should be " + std::to_string(position));
  if (position >= options_.context) throw CapacityError("position beyond the context");
  return {row.slot, row.parent, {row.token, extend(hash, row.token)}};
}

/// What the logits of a row of the last call are drawn from.
std::uint64_t FakeEngine::seed_of(std::size_t index) const {
  if (options_.order == 0) return last_call_[index].place.hash;
  std::uint64_t hash = 1;
  const Row* row = &last_call_[index];
  const std::vector<Place>& before = state(row->slot);
  std::size_t left = before.size();
  for (std::int32_t i = 0; i < options_.order; ++i) {
    if (row != nullptr) {
      hash = extend(hash, row->place.token);
      row = row->parent < 0 ? nullptr : &last_call_[static_cast<std::size_t>(row->parent)];
    } else if (left > 0) {
      hash = extend(hash, before[--left].token);
    }
  }
  return hash;
}

}  // namespace mtp_rt::testing
