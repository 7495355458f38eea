#include "engines/native/heads_weights.h"

#include <cstring>
#include <string>
#include <utility>

namespace mtp_rt::native {
namespace {

constexpr std::size_t kGains = 3;  // state, embed, output

std::string prefix_of(std::size_t module) { return "heads." + std::to_string(module) + "."; }

ScoredTokens read_tokens(const ModelDir& model) {
  const TensorView view = model.tensor("heads.draft_ids");
  std::vector<Token> ids(view.bytes.size() / sizeof(Token));
  std::memcpy(ids.data(), view.bytes.data(), view.bytes.size());
  return ScoredTokens(std::move(ids));
}

}  // namespace

const Product& HeadModule::first(const HeadsConfig& config) const noexcept {
  if (config.body == HeadBody::linear) return linear;
  if (config.body == HeadBody::residual) return block.gate_up;
  return config.wiring == HeadWiring::sequential ? input : block.qkv;
}

HeadWeights::HeadWeights(const ModelDir& model, const HeadsConfig& heads, const PackedWeights& trunk,
                         const KernelTable& kernels, ThreadPool& pool)
    : trunk_(trunk),
      ones_(static_cast<std::size_t>(model.config().hidden_size), 1.0F),
      modules_(static_cast<std::size_t>(heads.modules())),
      scores_(heads.draft_vocab_size.value_or(model.config().vocab_size)) {
  read_gains(model, heads);
  pack_modules(model, heads, kernels, pool);
  pack_unembeds(model, heads, kernels, pool);
  if (heads.draft_vocab_size) tokens_ = read_tokens(model);
}

void HeadWeights::read_gains(const ModelDir& model, const HeadsConfig& heads) {
  const std::size_t width = ones_.size();
  // Two more for a block's own norms.
  gains_.resize(modules_.size() * (kGains + 2) * width);
  std::size_t used = 0;
  const auto read = [&](const std::string& name) {
    used += width;
    return read_vector(model, name + ".weight", std::span(gains_).subspan(used - width, width));
  };
  for (std::size_t m = 0; m < modules_.size(); ++m) {
    HeadModule& module = modules_[m];
    if (heads.wiring == HeadWiring::sequential) {
      module.state_gain = read(prefix_of(m) + "state_norm");
      module.embed_gain = read(prefix_of(m) + "embed_norm");
    }
    if (heads.body == HeadBody::block) {
      module.block.attention_gain = read(prefix_of(m) + "input_layernorm");
      module.block.mlp_gain = read(prefix_of(m) + "post_attention_layernorm");
    }
    module.output_gain = heads.output_norm ? read(prefix_of(m) + "norm") : std::span<const float>(ones_);
  }
}

void HeadWeights::pack_modules(const ModelDir& model, const HeadsConfig& heads, const KernelTable& kernels,
                               ThreadPool& pool) {
  const std::int64_t hidden = model.config().hidden_size;
  const bool sequential = heads.wiring == HeadWiring::sequential;
  const std::int64_t inputs = sequential ? 2 * hidden : hidden;
  std::deque<ProductGroup> groups;
  if (!heads.taps.empty()) {
    const auto taps = static_cast<std::int64_t>(heads.taps.size());
    groups.emplace_back(model).add_matrix("heads.fuse", hidden, taps * hidden, fuse_);
  }
  for (std::size_t m = 0; m < modules_.size(); ++m) {
    ProductGroup& group = groups.emplace_back(model);
    switch (heads.body) {
      case HeadBody::linear:
        group.add_matrix(prefix_of(m) + "linear", hidden, inputs, modules_[m].linear);
        break;
      case HeadBody::residual:
        group.add_mlp(prefix_of(m), heads.intermediate_size, inputs, modules_[m].block);
        break;
      case HeadBody::block:
        if (sequential) group.add_matrix(prefix_of(m) + "input_proj", hidden, inputs, modules_[m].input);
        group.add_block(prefix_of(m), heads.intermediate_size, modules_[m].block);
        break;
    }
  }
  streams_ = WeightStreams(groups, kernels, pool);
}

void HeadWeights::pack_unembeds(const ModelDir& model, const HeadsConfig& heads, const KernelTable& kernels,
                                ThreadPool& pool) {
  std::vector<std::string> names;
  if (heads.own_unembedding) {
    for (std::size_t m = 0; m < modules_.size(); ++m) names.push_back(prefix_of(m) + "unembed.weight");
  } else if (heads.draft_vocab_size) {
    names.emplace_back("heads.unembed.weight");
  }
  for (const std::string& name : names) {
    PackedTable table(model, name, scores_, true, kernels, pool);
    Product product = table.product(pool.threads());
    unembeds_.push_back({std::move(table), std::move(product)});
  }
}

std::size_t HeadWeights::bytes_per_depth(bool two_stage) const noexcept {
  const std::size_t modules = (streams_.bytes() + gains_.size() * sizeof(float)) / modules_.size();
  if (unembeds_.empty()) {
    return modules + trunk_.head_bytes() - (two_stage ? trunk_.head_low_bytes() : 0);
  }
  std::size_t scored = 0;
  for (const Unembed& unembed : unembeds_) {
    scored += unembed.table.bytes() - (two_stage ? unembed.table.low_bytes() : 0);
  }
  return modules + scored / unembeds_.size();
}

}  // namespace mtp_rt::native
