#include "engines/native/packed_table.h"

#include <algorithm>

#include "engines/native/product_group.h"
#include "engines/native/tiles.h"

namespace mtp_rt::native {

PackedTable::PackedTable(const ModelDir& model, const std::string& name, std::int64_t rows, bool planes,
                         const KernelTable& kernels, ThreadPool& pool) {
  const WeightView w = model.weight(name, rows, model.config().hidden_size);
  quant_ = w.quant;
  blocks_ = static_cast<int>(w.cols / kBlock);
  const std::int64_t count = (w.rows + kUnit - 1) / kUnit;
  const auto tiles_per_unit = static_cast<std::size_t>(2 * blocks_);
  planes = planes && w.quant == Quant::q8;
  const std::size_t stride = planes ? kTileHigh : tile_bytes(w.quant);
  tiles_ = AlignedBuffer(static_cast<std::size_t>(count) * tiles_per_unit * stride);
  if (planes) low_ = AlignedBuffer(static_cast<std::size_t>(count) * tiles_per_unit * kTileLow);
  for (std::size_t u = 0; u < static_cast<std::size_t>(count); ++u) {
    const std::uint8_t* at = tiles_.as<std::uint8_t>().data() + u * tiles_per_unit * stride;
    UnitTiles where = tiles_at(at, w.quant);
    if (planes)
      where = {at, stride, low_.as<std::uint8_t>().data() + u * tiles_per_unit * kTileLow, kTileLow};
    units_.push_back(make_unit(kernels, where, w.quant, static_cast<std::int64_t>(u)));
  }
  constexpr std::int64_t kPart = 256;  // units between giving pages of the file back
  for (std::int64_t first = 0; first < count; first += kPart) {
    const std::int64_t n = std::min(kPart, count - first);
    pool.run([&](int thread) {
      const Range mine = share(n, thread, pool.threads());
      for (std::int64_t u = first + mine.begin; u < first + mine.end; ++u) {
        pack_unit(w, unit_rows(u * kUnit, w.rows), units_[static_cast<std::size_t>(u)].tiles);
      }
    });
    forget(model, w);
  }
}

Product PackedTable::product(int threads) const {
  Product product;
  product.blocks = blocks_;
  const bool quantized = quant_ == Quant::q4 || quant_ == Quant::q8;
  (quantized ? product.takes_quantized : product.takes_values) = true;
  for (int t = 0; t < threads; ++t) {
    const Range mine = share(static_cast<std::int64_t>(units_.size()), t, threads);
    product.units.emplace_back(units_.begin() + mine.begin, units_.begin() + mine.end);
  }
  return product;
}

void PackedTable::unpack(std::int64_t row, int block, float* out) const {
  const Unit& unit = units_[static_cast<std::size_t>(row / kUnit)];
  unpack_block(unit.tiles, unit.quant, blocks_, static_cast<int>(row % kUnit), block, out);
}

}  // namespace mtp_rt::native
