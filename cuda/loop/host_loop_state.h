// The loop's state in the host's memory, for tests of the kernels' bodies.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/step_types.h"
#include "loop/slot_start.h"

namespace mtp_rt::cuda {

/// What LoopMemory is on the GPU, counts of tokens always included.
class HostLoopState {
 public:
  HostLoopState(std::int32_t slots, std::int32_t context, std::int32_t vocab)
      : context_(context),
        vocab_(vocab),
        slots_(static_cast<std::size_t>(slots)),
        tokens_(slots_.size() * static_cast<std::size_t>(context)),
        counts_(slots_.size() * static_cast<std::size_t>(vocab)),
        stops_(slots_.size() * kMaxStops),
        bias_(slots_.size() * kMaxBias) {}

  [[nodiscard]] LoopState view() noexcept {
    return {slots_.data(), tokens_.data(), counts_.data(), stops_.data(), bias_.data(), context_, vocab_};
  }

  /// How the slot's sequence stands. Throws std::out_of_range.
  [[nodiscard]] Ending ending(Slot slot) const { return slots_.at(static_cast<std::size_t>(slot)).ending; }

  /// Puts a sequence into a slot. Throws std::out_of_range, else as slot_start() does.
  void admit(Slot slot, const Request& request, std::span<const Token> tokens) {
    const SlotStart start = slot_start(request, tokens, vocab_, context_);
    slots_.at(static_cast<std::size_t>(slot)) = start.state;
    const auto put = [slot](auto& to, const auto& from, std::int32_t stride) {
      std::ranges::copy(from, to.begin() + static_cast<std::ptrdiff_t>(slot) * stride);
    };
    put(tokens_, start.tokens, context_);
    put(counts_, start.counts, vocab_);
    put(stops_, start.stops, kMaxStops);
    put(bias_, start.bias, kMaxBias);
  }

  void release(Slot slot) { slots_.at(static_cast<std::size_t>(slot)) = {}; }

 private:
  std::int32_t context_;
  std::int32_t vocab_;
  std::vector<SlotState> slots_;
  std::vector<Token> tokens_;
  std::vector<Tally> counts_;
  std::vector<Token> stops_;
  std::vector<Bias> bias_;
};

}  // namespace mtp_rt::cuda
