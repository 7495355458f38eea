#include "engines/native/packed_weights.h"

#include <algorithm>
#include <array>
#include <functional>
#include <string>
#include <utility>

#include "engines/native/tiles.h"

namespace mtp_rt::native {
namespace {

DotKernel dot_kernel(const KernelTable& kernels, Quant quant) {
  switch (quant) {
    case Quant::q4:
      return kernels.dot_q4;
    case Quant::q8:
      return kernels.dot_q8;
    case Quant::bf16:
      return kernels.dot_bf16;
    case Quant::f32:
      return kernels.dot_f32;
  }
  return nullptr;
}

bool is_quantized(Quant quant) { return quant == Quant::q4 || quant == Quant::q8; }

// Where a unit's weights come from.
struct UnitSource {
  const WeightView* weight = nullptr;
  UnitRows rows{};
};

std::size_t unit_bytes(const WeightView& w) {
  return tile_bytes(w.quant) * static_cast<std::size_t>(2 * w.cols / kBlock);
}

UnitRows rows_from(std::int64_t first, std::int64_t limit) {
  UnitRows rows{};
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::int64_t row = first + static_cast<std::int64_t>(i);
    rows[i] = row < limit ? row : -1;
  }
  return rows;
}

// Rotation runs over neighbouring pairs: rows stored as two halves of a head are interleaved.
UnitRows rotary_rows(std::int64_t first, const ModelConfig& config) {
  UnitRows rows = rows_from(first, first + kUnit);
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

// The weight views of one layer and the units made of them, by product.
struct LayerSources {
  std::array<WeightView, 7> weights;  // q k v o gate up down
  std::array<std::vector<UnitSource>, 4> products;
};

LayerSources layer_sources(const ModelDir& model, int layer) {
  const ModelConfig& c = model.config();
  const std::string prefix = "model.layers." + std::to_string(layer) + ".";
  const std::int64_t q_rows = std::int64_t{c.heads} * c.head_dim;
  const std::int64_t kv_rows = std::int64_t{c.kv_heads} * c.head_dim;
  const auto weight = [&](const char* name, std::int64_t rows, std::int64_t cols) {
    return model.weight(prefix + name + ".weight", rows, cols);
  };
  LayerSources s{
      {weight("self_attn.q_proj", q_rows, c.hidden_size), weight("self_attn.k_proj", kv_rows, c.hidden_size),
       weight("self_attn.v_proj", kv_rows, c.hidden_size), weight("self_attn.o_proj", c.hidden_size, q_rows),
       weight("mlp.gate_proj", c.intermediate_size, c.hidden_size),
       weight("mlp.up_proj", c.intermediate_size, c.hidden_size),
       weight("mlp.down_proj", c.hidden_size, c.intermediate_size)},
      {}};
  return s;
}

void plan_units(LayerSources& s, const ModelConfig& c) {
  const auto& [q, k, v, o, gate, up, down] = s.weights;
  const auto rotary = [&](std::int64_t first) { return rotary_rows(first, c); };
  const auto plain = [](std::int64_t first) { return rows_from(first, first + kUnit); };
  append(s.products[0], q, rotary);
  append(s.products[0], k, rotary);
  append(s.products[0], v, plain);
  append(s.products[1], o, plain);
  for (std::int64_t first = 0; first < gate.rows; first += kUnit) {
    s.products[2].push_back({&gate, plain(first)});
    s.products[2].push_back({&up, plain(first)});
  }
  append(s.products[3], down, plain);
}

// Units that one thread must compute together.
constexpr std::array<std::int64_t, 4> kTogether = {1, 1, 2, 1};

Range thread_units(const std::vector<UnitSource>& sources, std::int64_t together, int thread, int threads) {
  const Range groups = share(static_cast<std::int64_t>(sources.size()) / together, thread, threads);
  return {groups.begin * together, groups.end * together};
}

UnitTiles tiles_at(const std::uint8_t* at, Quant quant) {
  const std::size_t stride = tile_bytes(quant);
  if (quant == Quant::q8) return {at, stride, at + kTileHigh, stride};
  return {at, stride, nullptr, 0};
}

void forget(const ModelDir& model, const WeightView& w) {
  model.forget(w.data);
  if (is_quantized(w.quant)) model.forget(w.scale);
  if (w.quant == Quant::q4) model.forget(w.min);
}

void note_input(Product& product, const WeightView& w) {
  product.blocks = static_cast<int>(w.cols / kBlock);
  (is_quantized(w.quant) ? product.takes_quantized : product.takes_values) = true;
}

}  // namespace

PackedWeights::PackedWeights(const ModelDir& model, const KernelTable& kernels, ThreadPool& pool) {
  read_gains(model);
  pack_layers(model, kernels, pool);
  pack_vocabulary(model, kernels, pool);
}

void PackedWeights::read_gains(const ModelDir& model) {
  const ModelConfig& c = model.config();
  const auto width = static_cast<std::size_t>(c.hidden_size);
  const auto layers = static_cast<std::size_t>(c.layers);
  gains_.resize((2 * layers + 1) * width);
  layers_.resize(layers);
  const auto read = [&](const std::string& name, std::size_t index) {
    const TensorView t = model.tensor(name);
    const std::span<float> to = std::span(gains_).subspan(index * width, width);
    std::copy_n(t.bytes.data(), std::min(t.bytes.size(), to.size_bytes()),
                reinterpret_cast<std::byte*>(to.data()));
    return std::span<const float>(to);
  };
  for (std::size_t i = 0; i < layers; ++i) {
    const std::string prefix = "model.layers." + std::to_string(i) + ".";
    layers_[i].attention_gain = read(prefix + "input_layernorm.weight", 2 * i);
    layers_[i].mlp_gain = read(prefix + "post_attention_layernorm.weight", 2 * i + 1);
  }
  final_gain_ = read("model.norm.weight", 2 * layers);
}

void PackedWeights::pack_layers(const ModelDir& model, const KernelTable& kernels, ThreadPool& pool) {
  const auto threads = static_cast<std::size_t>(pool.threads());
  std::vector<LayerSources> sources(layers_.size());
  std::vector<std::size_t> bytes(threads, 0);
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    sources[l] = layer_sources(model, static_cast<int>(l));
    plan_units(sources[l], model.config());
    for (std::size_t p = 0; p < 4; ++p) {
      for (std::size_t t = 0; t < threads; ++t) {
        const Range units =
            thread_units(sources[l].products[p], kTogether[p], static_cast<int>(t), pool.threads());
        for (std::int64_t u = units.begin; u < units.end; ++u) {
          bytes[t] += unit_bytes(*sources[l].products[p][static_cast<std::size_t>(u)].weight);
        }
      }
    }
  }
  std::vector<std::uint8_t*> at;
  for (const std::size_t n : bytes) {
    streams_.emplace_back(n);
    at.push_back(reinterpret_cast<std::uint8_t*>(streams_.back().data()));
    layer_bytes_ += n;
  }
  layer_bytes_ += gains_.size() * sizeof(float);
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const std::array<Product*, 4> products = {&layers_[l].qkv, &layers_[l].out, &layers_[l].gate_up,
                                              &layers_[l].down};
    for (std::size_t p = 0; p < 4; ++p) {
      products[p]->units.resize(threads);
      for (const UnitSource& s : sources[l].products[p]) note_input(*products[p], *s.weight);
    }
    pool.run([&](int thread) {
      const auto t = static_cast<std::size_t>(thread);
      for (std::size_t p = 0; p < 4; ++p) {
        const Range units = thread_units(sources[l].products[p], kTogether[p], thread, pool.threads());
        for (std::int64_t u = units.begin; u < units.end; ++u) {
          const UnitSource& s = sources[l].products[p][static_cast<std::size_t>(u)];
          const UnitTiles tiles = tiles_at(at[t], s.weight->quant);
          pack_unit(*s.weight, s.rows, tiles);
          products[p]->units[t].push_back(
              {tiles, dot_kernel(kernels, s.weight->quant), s.weight->quant, static_cast<int>(u)});
          at[t] += unit_bytes(*s.weight);
        }
      }
    });
    for (const WeightView& w : sources[l].weights) forget(model, w);
  }
}

void PackedWeights::pack_vocabulary(const ModelDir& model, const KernelTable& kernels, ThreadPool& pool) {
  const ModelConfig& c = model.config();
  const auto pack = [&](const std::string& name, AlignedBuffer& tiles, AlignedBuffer* low) {
    const WeightView w = model.weight(name, c.vocab_size, c.hidden_size);
    const std::int64_t count = (w.rows + kUnit - 1) / kUnit;
    const auto tiles_per_unit = static_cast<std::size_t>(2 * w.cols / kBlock);
    const bool planes = low != nullptr && w.quant == Quant::q8;
    const std::size_t stride = planes ? kTileHigh : tile_bytes(w.quant);
    tiles = AlignedBuffer(static_cast<std::size_t>(count) * tiles_per_unit * stride);
    if (planes) *low = AlignedBuffer(static_cast<std::size_t>(count) * tiles_per_unit * kTileLow);
    std::vector<Unit> units(static_cast<std::size_t>(count));
    for (std::size_t u = 0; u < units.size(); ++u) {
      const std::uint8_t* at = tiles.as<std::uint8_t>().data() + u * tiles_per_unit * stride;
      UnitTiles where = tiles_at(at, w.quant);
      if (planes)
        where = {at, stride, low->as<std::uint8_t>().data() + u * tiles_per_unit * kTileLow, kTileLow};
      units[u] = {where, dot_kernel(kernels, w.quant), w.quant, static_cast<int>(u)};
    }
    constexpr std::int64_t kPart = 256;  // units between giving pages of the file back
    for (std::int64_t first = 0; first < count; first += kPart) {
      const std::int64_t n = std::min(kPart, count - first);
      pool.run([&](int thread) {
        const Range mine = share(n, thread, pool.threads());
        for (std::int64_t u = first + mine.begin; u < first + mine.end; ++u) {
          pack_unit(w, rows_from(u * kUnit, w.rows), units[static_cast<std::size_t>(u)].tiles);
        }
      });
      forget(model, w);
    }
    return std::pair(std::move(units), w);
  };
  auto [units, weight] =
      pack(c.tied_embedding ? "model.embed_tokens.weight" : "lm_head.weight", head_tiles_, &head_low_);
  head_is_q8_ = weight.quant == Quant::q8;
  head_bytes_ = head_tiles_.size() + head_low_.size();
  head_low_bytes_ = head_low_.size();
  note_input(head_, weight);
  for (int t = 0; t < pool.threads(); ++t) {
    const Range mine = share(static_cast<std::int64_t>(units.size()), t, pool.threads());
    head_.units.emplace_back(units.begin() + mine.begin, units.begin() + mine.end);
  }
  embedding_ = c.tied_embedding ? std::move(units)
                                : pack("model.embed_tokens.weight", embedding_tiles_, nullptr).first;
}

void PackedWeights::embed(Token token, int block, float* out) const {
  const Unit& unit = embedding_[static_cast<std::size_t>(token / kUnit)];
  unpack_block(unit.tiles, unit.quant, head_.blocks, token % kUnit, block, out);
}

}  // namespace mtp_rt::native
