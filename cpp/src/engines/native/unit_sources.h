// Which rows of which stored matrices make the units of a layer's products, and which thread computes them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/parallel.h"
#include "engines/native/tiles.h"
#include "mtp_rt/model_dir.h"

namespace mtp_rt::native {

/// Where a unit's weights come from.
struct UnitSource {
  const WeightView* weight = nullptr;
  UnitRows rows{};
};

/// Bytes of a packed unit of `weight`.
[[nodiscard]] std::size_t unit_bytes(const WeightView& weight);

/// Rows `first` .. `first` + 31; zeros from row `limit` on.
[[nodiscard]] UnitRows unit_rows(std::int64_t first, std::int64_t limit);

/// One layer's matrices and the units of its four products: qkv, out, gate_up, down.
class LayerSources {
 public:
  static constexpr std::size_t kProducts = 4;

  LayerSources(const ModelDir& model, int layer);
  LayerSources(const LayerSources&) = delete;  // units point into weights
  LayerSources& operator=(const LayerSources&) = delete;

  [[nodiscard]] const std::array<WeightView, 7>& weights() const noexcept { return weights_; }
  [[nodiscard]] const std::vector<UnitSource>& product(std::size_t index) const {
    return products_.at(index);
  }

  /// The units of product `index` that `thread` computes; gate and up units stay in pairs.
  [[nodiscard]] Range units(std::size_t index, int thread, int threads) const;

 private:
  std::array<WeightView, 7> weights_;  // q k v o gate up down
  std::array<std::vector<UnitSource>, kProducts> products_;
};

}  // namespace mtp_rt::native
