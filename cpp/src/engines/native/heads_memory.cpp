#include "engines/native/heads_memory.h"

namespace mtp_rt::native {

HeadsMemory::HeadsMemory(int slots, int capacity, std::size_t state_size)
    : capacity_(capacity),
      state_size_(state_size),
      windows_(static_cast<std::size_t>(slots)),
      states_(windows_.size() * static_cast<std::size_t>(capacity) * state_size * sizeof(float)),
      tokens_(windows_.size() * static_cast<std::size_t>(capacity)) {}

std::span<float> HeadsMemory::append(Slot slot, Token token) noexcept {
  const int position = end(slot);
  ++of(slot).count;
  tokens_[place(slot, position)] = token;
  return state(slot, position);
}

void HeadsMemory::drop(Slot slot, int n) noexcept {
  of(slot).first += n;
  of(slot).count -= n;
}

}  // namespace mtp_rt::native
