#include "engines/native/product_group.h"

#include <functional>

namespace mtp_rt::native {
namespace {

using RowsOf = std::function<UnitRows(std::int64_t first)>;

// Rotation runs over neighbouring pairs: rows stored as two halves of a head are interleaved.
UnitRows rotary_rows(std::int64_t first, const ModelConfig& config) {
  UnitRows rows = unit_rows(first, first + kUnit);
  if (config.rope_layout == RopeLayout::interleaved) return rows;
  for (std::int64_t& row : rows) {
    const std::int64_t dim = row % config.head_dim;
    row += (dim % 2 == 0 ? dim / 2 : config.head_dim / 2 + dim / 2) - dim;
  }
  return rows;
}

UnitRows plain_rows(std::int64_t first) { return unit_rows(first, first + kUnit); }

void append(ProductSource& source, const WeightView& w, const RowsOf& rows) {
  for (std::int64_t first = 0; first < w.rows; first += kUnit) source.units.push_back({&w, rows(first)});
}

std::size_t unit_bytes(const WeightView& weight) {
  return tile_bytes(weight.quant) * static_cast<std::size_t>(2 * weight.cols / kBlock);
}

std::size_t stream_bytes(const ProductGroup& group, int thread, int threads) {
  std::size_t bytes = 0;
  for (const ProductSource& source : group.products()) {
    const Range units = source.share_of(thread, threads);
    for (std::int64_t u = units.begin; u < units.end; ++u) {
      bytes += unit_bytes(*source.units[static_cast<std::size_t>(u)].weight);
    }
  }
  return bytes;
}

void pack(const ProductGroup& group, const KernelTable& kernels, int thread, int threads, std::uint8_t*& at) {
  for (const ProductSource& source : group.products()) {
    const Range units = source.share_of(thread, threads);
    for (std::int64_t u = units.begin; u < units.end; ++u) {
      const UnitSource& s = source.units[static_cast<std::size_t>(u)];
      const UnitTiles tiles = tiles_at(at, s.weight->quant);
      pack_unit(*s.weight, s.rows, tiles);
      source.product->units[static_cast<std::size_t>(thread)].push_back(
          make_unit(kernels, tiles, s.weight->quant, u));
      at += unit_bytes(*s.weight);
    }
  }
}

}  // namespace

Range ProductSource::share_of(int thread, int threads) const {
  const Range groups = share(static_cast<std::int64_t>(units.size()) / together, thread, threads);
  return {groups.begin * together, groups.end * together};
}

UnitRows unit_rows(std::int64_t first, std::int64_t limit) {
  UnitRows rows{};
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::int64_t row = first + static_cast<std::int64_t>(i);
    rows[i] = row < limit ? row : -1;
  }
  return rows;
}

void forget(const ModelDir& model, const WeightView& weight) {
  model.forget(weight.data);
  if (weight.quant == Quant::q4 || weight.quant == Quant::q8) model.forget(weight.scale);
  if (weight.quant == Quant::q4) model.forget(weight.min);
}

const WeightView& ProductGroup::weight(const std::string& name, std::int64_t rows, std::int64_t cols) {
  return weights_.emplace_back(model_.weight(name + ".weight", rows, cols));
}

void ProductGroup::add_matrix(const std::string& name, std::int64_t rows, std::int64_t cols,
                              Product& product) {
  ProductSource& source = products_.emplace_back(ProductSource{&product, 1, {}});
  append(source, weight(name, rows, cols), plain_rows);
}

void ProductGroup::add_mlp(const std::string& prefix, std::int64_t inner, std::int64_t cols, Layer& layer) {
  const WeightView& gate = weight(prefix + "mlp.gate_proj", inner, cols);
  const WeightView& up = weight(prefix + "mlp.up_proj", inner, cols);
  ProductSource& source = products_.emplace_back(ProductSource{&layer.gate_up, 2, {}});
  for (std::int64_t first = 0; first < inner; first += kUnit) {
    source.units.push_back({&gate, plain_rows(first)});
    source.units.push_back({&up, plain_rows(first)});
  }
  add_matrix(prefix + "mlp.down_proj", model_.config().hidden_size, inner, layer.down);
}

void ProductGroup::add_block(const std::string& prefix, std::int64_t inner, Layer& layer) {
  const ModelConfig& c = model_.config();
  const std::int64_t q_rows = std::int64_t{c.heads} * c.head_dim;
  const std::int64_t kv_rows = std::int64_t{c.kv_heads} * c.head_dim;
  const auto rotary = [&](std::int64_t first) { return rotary_rows(first, c); };
  ProductSource& qkv = products_.emplace_back(ProductSource{&layer.qkv, 1, {}});
  append(qkv, weight(prefix + "self_attn.q_proj", q_rows, c.hidden_size), rotary);
  append(qkv, weight(prefix + "self_attn.k_proj", kv_rows, c.hidden_size), rotary);
  append(qkv, weight(prefix + "self_attn.v_proj", kv_rows, c.hidden_size), plain_rows);
  add_matrix(prefix + "self_attn.o_proj", c.hidden_size, q_rows, layer.out);
  add_mlp(prefix, inner, c.hidden_size, layer);
}

void ProductGroup::forget() const {
  for (const WeightView& w : weights_) native::forget(model_, w);
}

WeightStreams::WeightStreams(const std::deque<ProductGroup>& groups, const KernelTable& kernels,
                             ThreadPool& pool) {
  const int threads = pool.threads();
  std::vector<std::uint8_t*> at;
  for (int t = 0; t < threads; ++t) {
    std::size_t bytes = 0;
    for (const ProductGroup& group : groups) bytes += stream_bytes(group, t, threads);
    at.push_back(streams_.emplace_back(bytes).as<std::uint8_t>().data());
  }
  for (const ProductGroup& group : groups) {
    for (const ProductSource& source : group.products()) {
      source.product->units.resize(static_cast<std::size_t>(threads));
      for (const UnitSource& unit : source.units) note_input(*source.product, *unit.weight);
    }
    pool.run(
        [&](int thread) { pack(group, kernels, thread, threads, at[static_cast<std::size_t>(thread)]); });
    group.forget();
  }
}

std::size_t WeightStreams::bytes() const noexcept {
  std::size_t total = 0;
  for (const AlignedBuffer& stream : streams_) total += stream.size();
  return total;
}

}  // namespace mtp_rt::native
