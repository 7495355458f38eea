#include "engines/native/packed_weights.h"

#include <algorithm>
#include <array>
#include <deque>
#include <string>
#include <utility>

#include "engines/native/tiles.h"
#include "engines/native/unit_sources.h"

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
  const int threads = pool.threads();
  std::deque<LayerSources> sources;
  std::vector<std::size_t> bytes(static_cast<std::size_t>(threads), 0);
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const LayerSources& layer = sources.emplace_back(model, static_cast<int>(l));
    for (std::size_t p = 0; p < LayerSources::kProducts; ++p) {
      for (int t = 0; t < threads; ++t) {
        const Range units = layer.units(p, t, threads);
        for (std::int64_t u = units.begin; u < units.end; ++u) {
          bytes[static_cast<std::size_t>(t)] +=
              unit_bytes(*layer.product(p)[static_cast<std::size_t>(u)].weight);
        }
      }
    }
  }
  std::vector<std::uint8_t*> at;
  for (const std::size_t n : bytes) {
    at.push_back(streams_.emplace_back(n).as<std::uint8_t>().data());
    layer_bytes_ += n;
  }
  layer_bytes_ += gains_.size() * sizeof(float);
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    pack_layer(layers_[l], sources[l], kernels, pool, at);
    for (const WeightView& w : sources[l].weights()) forget(model, w);
  }
}

void PackedWeights::pack_layer(Layer& layer, const LayerSources& sources, const KernelTable& kernels,
                               ThreadPool& pool, std::vector<std::uint8_t*>& at) {
  const std::array<Product*, LayerSources::kProducts> products = {&layer.qkv, &layer.out, &layer.gate_up,
                                                                  &layer.down};
  for (std::size_t p = 0; p < products.size(); ++p) {
    products[p]->units.resize(at.size());
    for (const UnitSource& s : sources.product(p)) note_input(*products[p], *s.weight);
  }
  pool.run([&](int thread) {
    const auto t = static_cast<std::size_t>(thread);
    for (std::size_t p = 0; p < products.size(); ++p) {
      const Range units = sources.units(p, thread, pool.threads());
      for (std::int64_t u = units.begin; u < units.end; ++u) {
        const UnitSource& s = sources.product(p)[static_cast<std::size_t>(u)];
        const Quant quant = s.weight->quant;
        const UnitTiles tiles = tiles_at(at[t], quant);
        pack_unit(*s.weight, s.rows, tiles);
        products[p]->units[t].push_back({tiles, dot_kernel(kernels, quant), quant, static_cast<int>(u)});
        at[t] += unit_bytes(*s.weight);
      }
    }
  });
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
          pack_unit(w, unit_rows(u * kUnit, w.rows), units[static_cast<std::size_t>(u)].tiles);
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
