#include "loop/loop_memory.h"

#include <algorithm>
#include <string>

#include "mtp_rt/error.h"

namespace mtp_rt::cuda {
namespace {

std::size_t product(std::int32_t a, std::int32_t b, std::int32_t c = 1) {
  return static_cast<std::size_t>(a) * static_cast<std::size_t>(b) * static_cast<std::size_t>(c);
}

}  // namespace

LoopMemory::LoopMemory(std::int32_t slots, std::int32_t context, std::int32_t vocab)
    : endings_(product(slots, 1), Ending::empty),
      context_(context),
      vocab_(vocab),
      slots_(endings_.size()),
      tokens_(product(slots, context)),
      stops_(product(slots, kMaxStops)),
      bias_(product(slots, kMaxBias)) {
  const std::vector<SlotState> empty(slots_.size());
  slots_.upload(empty, nullptr);
  check(cudaStreamSynchronize(nullptr), "clearing the loop's state");
}

LoopState LoopMemory::view() const noexcept {
  return {slots_.data(), tokens_.data(), counts_.data(), stops_.data(), bias_.data(), context_, vocab_};
}

void LoopMemory::check_slot(Slot slot) const {
  if (slot >= 0 && slot < std::ssize(endings_)) return;
  throw ArgumentError("slot: " + std::to_string(slot) + " is outside 0 .. " +
                      std::to_string(endings_.size() - 1));
}

Ending LoopMemory::ending(Slot slot) const noexcept {
  const bool is_there = slot >= 0 && slot < std::ssize(endings_);
  return is_there ? endings_[static_cast<std::size_t>(slot)] : Ending::empty;
}

void LoopMemory::admit(Slot slot, const Request& request, std::span<const Token> tokens,
                       cudaStream_t stream) {
  check_slot(slot);
  const SlotStart start = slot_start(request, tokens, vocab_, context_);
  if (!start.counts.empty() && !has_counts()) {
    counts_ = DeviceBuffer<Tally>(endings_.size() * product(vocab_, 1));
    counts_.fill(0, stream);
  }
  tokens_.upload(start.tokens, stream, product(slot, context_));
  if (!start.counts.empty()) counts_.upload(start.counts, stream, product(slot, vocab_));
  if (!start.stops.empty()) stops_.upload(start.stops, stream, product(slot, kMaxStops));
  if (!start.bias.empty()) bias_.upload(start.bias, stream, product(slot, kMaxBias));
  slots_.upload({&start.state, 1}, stream, product(slot, 1));
  set_ending(slot, start.state.ending);
}

void LoopMemory::release(Slot slot, cudaStream_t stream) {
  check_slot(slot);
  const SlotState empty;
  set_ending(slot, empty.ending);
  slots_.upload({&empty, 1}, stream, product(slot, 1));
}

StepMemory::StepMemory(std::int32_t batch, std::int32_t width, std::int32_t depths)
    : batch_(batch),
      width_(width),
      draft_room_(std::max(width - 1, depths)),
      slots_(product(batch, 1)),
      drafts_(product(batch, draft_room_)),
      parents_(drafts_.size()),
      draft_counts_(product(batch, 1)),
      picks_(product(batch, width)),
      tokens_(product(batch, width)),
      kept_(product(batch, width)),
      outcomes_(product(batch, 1)),
      draft_tokens_(product(batch, 1)),
      input_tokens_(product(batch, width)),
      positions_(product(batch, width)),
      lengths_(product(batch, 1)),
      tree_(product(batch, width, width)),
      host_drafts_(drafts_.size()),
      host_parents_(drafts_.size()),
      host_counts_(product(batch, 1)),
      host_outcomes_(product(batch, 1)),
      host_tokens_(product(batch, width)),
      host_drafted_(drafts_.size()) {}

StepRows StepMemory::rows(const StepPart& part) const noexcept {
  return {part.count,     part.width,      slots_.data() + part.first,
          drafts_.data(), parents_.data(), draft_counts_.data()};
}

StepResults StepMemory::results() const noexcept {
  return {picks_.data(), tokens_.data(), kept_.data(), draft_tokens_.data(), outcomes_.data()};
}

VerifyInputs StepMemory::inputs() const noexcept {
  return {input_tokens_.data(), positions_.data(), lengths_.data(), tree_.data()};
}

void StepMemory::set_slots(std::span<const std::int32_t> slots, cudaStream_t stream) {
  if (slots.size() != slots_.size()) {
    throw ArgumentError("slots: " + std::to_string(slots.size()) + " for a step of " +
                        std::to_string(batch_));
  }
  slots_.upload(slots, stream);
  draft_counts_.fill(0, stream);
  draft_tokens_.fill(0, stream);
  tokens_.fill(0, stream);
  if (drafts_.size() == 0) return;
  drafts_.fill(0, stream);
  parents_.fill(0, stream);
}

std::size_t StepMemory::drafts_at(const StepPart& part) const noexcept {
  return product(part.first, draft_room_);
}

void StepMemory::put_drafts(const StepPart& part, std::int32_t sequence, std::span<const Token> drafts,
                            std::span<const std::int32_t> parents) {
  const std::size_t first = drafts_at(part) + product(sequence - part.first, part.width - 1);
  std::ranges::copy(drafts, host_drafts_.values().subspan(first).begin());
  std::ranges::copy(parents, host_parents_.values().subspan(first).begin());
  host_counts_.values()[product(sequence, 1)] = static_cast<std::int32_t>(drafts.size());
}

void StepMemory::send_drafts(const StepPart& part, cudaStream_t stream) {
  draft_counts_.upload(host_counts_.values().subspan(product(part.first, 1), product(part.count, 1)), stream);
  const std::size_t count = product(part.count, part.width - 1);
  if (count == 0) return;
  drafts_.upload(host_drafts_.values().subspan(drafts_at(part), count), stream);
  parents_.upload(host_parents_.values().subspan(drafts_at(part), count), stream);
}

void StepMemory::read_back(const StepPart& part, cudaStream_t stream) {
  outcomes_.download(host_outcomes_.values().subspan(product(part.first, 1), product(part.count, 1)), stream);
  const std::size_t first = product(part.first, width_);
  tokens_.download(host_tokens_.values().subspan(first, product(part.count, part.width)), stream);
}

void StepMemory::read_back_drafts(const StepPart& part, cudaStream_t stream) {
  const std::size_t count = product(part.count, part.width - 1);
  drafts_.download(host_drafted_.values().subspan(drafts_at(part), count), stream);
}

std::span<const Token> StepMemory::tokens(const StepPart& part, std::int32_t sequence) const noexcept {
  const std::size_t first = product(part.first, width_) + product(sequence - part.first, part.width);
  return host_tokens_.values().subspan(first, product(part.width, 1));
}

std::span<const Token> StepMemory::drafted(const StepPart& part, std::int32_t sequence) const noexcept {
  const std::size_t first = drafts_at(part) + product(sequence - part.first, part.width - 1);
  return host_drafted_.values().subspan(first, product(part.width - 1, 1));
}

ScoreMemory::ScoreMemory(std::int32_t rows, std::int32_t vocab)
    : logits_(product(rows, vocab)), scratch_(product(rows, vocab)) {}

}  // namespace mtp_rt::cuda
