// Matrices that are packed together: which of their rows make the units of which product.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/parallel.h"
#include "engines/native/products.h"
#include "engines/native/tiles.h"
#include "mtp_rt/model_dir.h"

namespace mtp_rt::native {

/// Where a unit's weights come from.
struct UnitSource {
  const WeightView* weight = nullptr;
  UnitRows rows{};
};

/// A product and the units it is made of; `together` of them stay with one thread.
struct ProductSource {
  Product* product = nullptr;
  std::int64_t together = 1;
  std::vector<UnitSource> units;

  /// Those that `thread` computes.
  [[nodiscard]] Range share_of(int thread, int threads) const;
};

/// Rows `first` .. `first` + 31; zeros from row `limit` on.
[[nodiscard]] UnitRows unit_rows(std::int64_t first, std::int64_t limit);

/// Products in the order in which a thread reads them, and the matrices they are made of.
class ProductGroup {
 public:
  explicit ProductGroup(const ModelDir& model) : model_(model) {}
  ProductGroup(const ProductGroup&) = delete;  // units point into weights
  ProductGroup& operator=(const ProductGroup&) = delete;

  /// Adds the product of one matrix.
  void add_matrix(const std::string& name, std::int64_t rows, std::int64_t cols, Product& product);

  /// Adds the gate, up and down matrices whose names start with `prefix`: [inner, cols] and [hidden, inner].
  void add_mlp(const std::string& prefix, std::int64_t inner, std::int64_t cols, Layer& layer);

  /// Adds a transformer block whose matrices' names start with `prefix`; its MLP is `inner` wide.
  void add_block(const std::string& prefix, std::int64_t inner, Layer& layer);

  [[nodiscard]] const std::vector<ProductSource>& products() const noexcept { return products_; }

  /// Tells the system that the matrices' pages will not be read again soon.
  void forget() const;

 private:
  const WeightView& weight(const std::string& name, std::int64_t rows, std::int64_t cols);

  const ModelDir& model_;
  std::deque<WeightView> weights_;
  std::vector<ProductSource> products_;
};

/// Packed products, each thread's share of all of them one stream.
class WeightStreams {
 public:
  WeightStreams() = default;

  /// Packs `groups` and fills in the units of their products.
  WeightStreams(const std::deque<ProductGroup>& groups, const KernelTable& kernels, ThreadPool& pool);

  [[nodiscard]] std::size_t bytes() const noexcept;

 private:
  std::vector<AlignedBuffer> streams_;  // one per thread
};

/// Tells the system that the pages of `weight` will not be read again soon.
void forget(const ModelDir& model, const WeightView& weight);

}  // namespace mtp_rt::native
