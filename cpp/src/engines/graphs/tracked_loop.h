// The loop that a backend runs over an engine's graphs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "mtp_rt/device_loop.h"

namespace mtp_rt::graphs {

/// Counts what the loop commits among the engine's committed positions.
class TrackedLoop final : public DeviceLoop {
 public:
  /// `lengths` by slot: the engine's, which outlive the loop.
  TrackedLoop(std::unique_ptr<DeviceLoop> loop, std::span<std::int32_t> lengths)
      : loop_(std::move(loop)), lengths_(lengths) {}

  [[nodiscard]] std::int32_t max_rows() const noexcept override { return loop_->max_rows(); }
  [[nodiscard]] std::int32_t max_depths() const noexcept override { return loop_->max_depths(); }
  [[nodiscard]] bool takes(const Request& request) const noexcept override { return loop_->takes(request); }
  [[nodiscard]] bool holds(Slot slot) const noexcept override { return loop_->holds(slot); }
  void admit(Slot slot, const Request& request, std::span<const Token> tokens) override {
    loop_->admit(slot, request, tokens);
  }
  void release(Slot slot) override { loop_->release(slot); }

  [[nodiscard]] std::vector<LoopResult> step(std::span<const LoopRow> rows) override {
    std::vector<LoopResult> results = loop_->step(rows);
    for (std::size_t i = 0; i < results.size(); ++i) {
      lengths_[static_cast<std::size_t>(rows[i].slot)] += static_cast<std::int32_t>(results[i].tokens.size());
    }
    return results;
  }

 private:
  std::unique_ptr<DeviceLoop> loop_;
  std::span<std::int32_t> lengths_;
};

}  // namespace mtp_rt::graphs
