#include "engines/native/packed_weights.h"

#include <deque>
#include <string>

namespace mtp_rt::native {

PackedWeights::PackedWeights(const ModelDir& model, const KernelTable& kernels, ThreadPool& pool) {
  const ModelConfig& c = model.config();
  read_gains(model);
  std::deque<ProductGroup> groups;
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    groups.emplace_back(model).add_block("model.layers." + std::to_string(l) + ".", c.intermediate_size,
                                         layers_[l]);
  }
  streams_ = WeightStreams(groups, kernels, pool);
  const char* const output = c.tied_embedding ? "model.embed_tokens.weight" : "lm_head.weight";
  output_ = PackedTable(model, output, c.vocab_size, true, kernels, pool);
  head_ = output_.product(pool.threads());
  if (!c.tied_embedding)
    embedding_.emplace(model, "model.embed_tokens.weight", c.vocab_size, false, kernels, pool);
}

void PackedWeights::read_gains(const ModelDir& model) {
  const ModelConfig& c = model.config();
  const auto width = static_cast<std::size_t>(c.hidden_size);
  const auto layers = static_cast<std::size_t>(c.layers);
  gains_.resize((2 * layers + 1) * width);
  layers_.resize(layers);
  const auto read = [&](const std::string& name, std::size_t index) {
    return read_vector(model, name, std::span(gains_).subspan(index * width, width));
  };
  for (std::size_t i = 0; i < layers; ++i) {
    const std::string prefix = "model.layers." + std::to_string(i) + ".";
    layers_[i].attention_gain = read(prefix + "input_layernorm.weight", 2 * i);
    layers_[i].mlp_gain = read(prefix + "post_attention_layernorm.weight", 2 * i + 1);
  }
  final_gain_ = read("model.norm.weight", 2 * layers);
}

}  // namespace mtp_rt::native
