// A block of threads on the host, for tests of the kernels' bodies.
#pragma once

#include <cstdint>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

namespace mtp_rt::cuda {

/// Threads take turns, in another order in each phase: a body in which threads of one phase depend on each
/// other gives different results for different seeds.
class HostBlock {
 public:
  HostBlock(std::int32_t threads, std::uint32_t seed)
      : order_(static_cast<std::size_t>(threads)), random_(seed) {
    std::iota(order_.begin(), order_.end(), 0);
  }

  [[nodiscard]] std::int32_t threads() const noexcept { return static_cast<std::int32_t>(order_.size()); }

  template <typename Function>
  void phase(Function function) const {
    for (std::size_t i = order_.size(); i > 1; --i) std::swap(order_[i - 1], order_[random_() % i]);
    for (const std::int32_t thread : order_) function(thread);
  }

  template <typename Value>
  [[nodiscard]] Value read(const Value& value) const {
    return value;
  }

  std::uint32_t add(std::uint32_t& counter, std::uint32_t count) const {
    return std::exchange(counter, counter + count);
  }

 private:
  mutable std::vector<std::int32_t> order_;
  mutable std::minstd_rand random_;
};

}  // namespace mtp_rt::cuda
