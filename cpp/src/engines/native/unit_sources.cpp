#include "engines/native/unit_sources.h"

#include <functional>
#include <string>

namespace mtp_rt::native {
namespace {

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

void append(std::vector<UnitSource>& sources, const WeightView& w,
            const std::function<UnitRows(std::int64_t)>& rows) {
  for (std::int64_t first = 0; first < w.rows; first += kUnit) sources.push_back({&w, rows(first)});
}

}  // namespace

std::size_t unit_bytes(const WeightView& weight) {
  return tile_bytes(weight.quant) * static_cast<std::size_t>(2 * weight.cols / kBlock);
}

UnitRows unit_rows(std::int64_t first, std::int64_t limit) {
  UnitRows rows{};
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::int64_t row = first + static_cast<std::int64_t>(i);
    rows[i] = row < limit ? row : -1;
  }
  return rows;
}

LayerSources::LayerSources(const ModelDir& model, int layer) {
  const ModelConfig& c = model.config();
  const std::string prefix = "model.layers." + std::to_string(layer) + ".";
  const std::int64_t q_rows = std::int64_t{c.heads} * c.head_dim;
  const std::int64_t kv_rows = std::int64_t{c.kv_heads} * c.head_dim;
  const auto weight = [&](const char* name, std::int64_t rows, std::int64_t cols) {
    return model.weight(prefix + name + ".weight", rows, cols);
  };
  weights_ = {weight("self_attn.q_proj", q_rows, c.hidden_size),
              weight("self_attn.k_proj", kv_rows, c.hidden_size),
              weight("self_attn.v_proj", kv_rows, c.hidden_size),
              weight("self_attn.o_proj", c.hidden_size, q_rows),
              weight("mlp.gate_proj", c.intermediate_size, c.hidden_size),
              weight("mlp.up_proj", c.intermediate_size, c.hidden_size),
              weight("mlp.down_proj", c.hidden_size, c.intermediate_size)};
  const auto& [q, k, v, o, gate, up, down] = weights_;
  const auto rotary = [&](std::int64_t first) { return rotary_rows(first, c); };
  const auto plain = [](std::int64_t first) { return unit_rows(first, first + kUnit); };
  append(products_[0], q, rotary);
  append(products_[0], k, rotary);
  append(products_[0], v, plain);
  append(products_[1], o, plain);
  for (std::int64_t first = 0; first < gate.rows; first += kUnit) {
    products_[2].push_back({&gate, plain(first)});
    products_[2].push_back({&up, plain(first)});
  }
  append(products_[3], down, plain);
}

Range LayerSources::units(std::size_t index, int thread, int threads) const {
  const std::int64_t together = index == 2 ? 2 : 1;
  const auto count = static_cast<std::int64_t>(products_.at(index).size());
  const Range groups = share(count / together, thread, threads);
  return {groups.begin * together, groups.end * together};
}

}  // namespace mtp_rt::native
