// What extra heads remember of every slot's committed rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/aligned_buffer.h"
#include "mtp_rt/token.h"

namespace mtp_rt::native {

/// The last committed positions of every slot, oldest first: the state that heads read of each, and its
/// token.
///
/// Positions before first() are done with: heads that attend have their final keys and values in the cache.
class HeadsMemory {
 public:
  /// `capacity` positions per slot, `state_size` floats each.
  HeadsMemory(int slots, int capacity, std::size_t state_size);

  [[nodiscard]] int capacity() const noexcept { return capacity_; }
  [[nodiscard]] int first(Slot slot) const noexcept { return of(slot).first; }
  [[nodiscard]] int count(Slot slot) const noexcept { return of(slot).count; }
  [[nodiscard]] int end(Slot slot) const noexcept { return first(slot) + count(slot); }

  [[nodiscard]] std::span<float> state(Slot slot, int position) const noexcept {
    return states_.as<float>().subspan(place(slot, position) * state_size_, state_size_);
  }
  [[nodiscard]] Token token(Slot slot, int position) const noexcept { return tokens_[place(slot, position)]; }

  /// Adds the next position, there being room, and returns its state, to be filled.
  std::span<float> append(Slot slot, Token token) noexcept;
  /// Drops the `n` oldest positions.
  void drop(Slot slot, int n) noexcept;
  void clear(Slot slot) noexcept { of(slot) = {}; }

 private:
  struct Window {
    int first = 0;
    int count = 0;
  };

  [[nodiscard]] const Window& of(Slot slot) const noexcept {
    return windows_[static_cast<std::size_t>(slot)];
  }
  [[nodiscard]] Window& of(Slot slot) noexcept { return windows_[static_cast<std::size_t>(slot)]; }
  [[nodiscard]] std::size_t place(Slot slot, int position) const noexcept {
    return static_cast<std::size_t>(slot) * static_cast<std::size_t>(capacity_) +
           static_cast<std::size_t>(position % capacity_);
  }

  int capacity_;
  std::size_t state_size_;
  std::vector<Window> windows_;
  AlignedBuffer states_;       // [slots, capacity, state_size], position p at p % capacity
  std::vector<Token> tokens_;  // [slots, capacity]
};

}  // namespace mtp_rt::native
