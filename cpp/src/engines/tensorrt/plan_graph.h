// A TensorRT plan as a graph of the engine over exported graphs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engines/cuda/plans.h"
#include "engines/graphs/graph.h"
#include "engines/tensorrt/plans_record.h"

namespace mtp_rt::tensorrt {

/// Runs one slot at a time; caches of all slots are taken when it opens.
class PlanGraph final : public graphs::Graph {
 public:
  /// Opens the file of `plan`, whose content is `bytes`. Throws ModelFormatError if its inputs and outputs
  /// are not those of the signature and the caches, else as PlanDevice does.
  PlanGraph(cuda::PlanDevice& device, const Plan& plan, std::span<const std::byte> bytes,
            const graphs::Signature& signature, const graphs::GraphCaches& caches);

  void run(Slot slot, int width, int rows) override;
  void reserve(Slot slot, int places, int filled) override;
  void keep(Slot slot, int base, std::span<const std::int32_t> offsets) override;
  /// The profiles [w - 1] of calls of `batch` sequences with w = 1 .. `most` rows each, all scored, up to the
  /// first w that has none.
  [[nodiscard]] std::vector<std::int32_t> step_profiles(int batch, int most) const;
  [[nodiscard]] cuda::Plan& plan() const noexcept { return *open_; }
  [[nodiscard]] cuda::PlanCaches* caches() const noexcept { return caches_.get(); }
  [[nodiscard]] const std::vector<cuda::PlanCacheNames>& cache_names() const noexcept { return names_; }

  void clear(Slot) noexcept override {}  // what stands in free places is overwritten before it is read

 private:
  /// Rows `first` .. `first + count` of those that a call wants.
  struct Window {
    int first = 0;
    int count = 0;
    bool scored = true;  // false: nothing is wanted, but plans score at least one row
  };

  [[nodiscard]] std::int32_t profile_of(int width) const;
  void run_window(std::int32_t profile, Slot slot, int width, const Window& window);

  Plan plan_;
  graphs::Signature signature_;
  std::vector<cuda::PlanCacheNames> names_;   // of keys and values of each layer
  std::unique_ptr<cuda::PlanCaches> caches_;  // null: it has none
  std::unique_ptr<cuda::Plan> open_;
};

}  // namespace mtp_rt::tensorrt
