#include "io/heads_layout.h"

namespace mtp_rt::io {
namespace {

// Sizes were checked: at most 65,536 each, and 8 taps.
void add_module(const std::string& prefix, const HeadsConfig& heads, const ModelConfig& config,
                ModelLayout& layout) {
  const bool sequential = heads.wiring == HeadWiring::sequential;
  const std::int64_t hidden = config.hidden_size;
  const std::int64_t inputs = sequential ? 2 * hidden : hidden;
  const std::int64_t inner = heads.intermediate_size;
  if (sequential) {
    layout.vectors.push_back({prefix + "state_norm.weight", hidden});
    layout.vectors.push_back({prefix + "embed_norm.weight", hidden});
  }
  switch (heads.body) {
    case HeadBody::linear:
      layout.matrices.push_back({prefix + "linear.weight", hidden, inputs});
      break;
    case HeadBody::residual:
      layout.matrices.push_back({prefix + "mlp.gate_proj.weight", inner, inputs});
      layout.matrices.push_back({prefix + "mlp.up_proj.weight", inner, inputs});
      layout.matrices.push_back({prefix + "mlp.down_proj.weight", hidden, inner});
      break;
    case HeadBody::block:
      if (sequential) layout.matrices.push_back({prefix + "input_proj.weight", hidden, inputs});
      add_block(prefix, config, inner, layout);
      break;
  }
  if (heads.output_norm) layout.vectors.push_back({prefix + "norm.weight", hidden});
  if (heads.own_unembedding) {
    const std::int64_t scores = heads.draft_vocab_size.value_or(config.vocab_size);
    layout.matrices.push_back({prefix + "unembed.weight", scores, hidden});
  }
}

}  // namespace

void add_heads(const HeadsConfig& heads, const ModelConfig& config, ModelLayout& layout) {
  const std::int64_t hidden = config.hidden_size;
  if (!heads.taps.empty()) {
    const std::int64_t tapped = static_cast<std::int64_t>(heads.taps.size()) * hidden;
    layout.matrices.push_back({"heads.fuse.weight", hidden, tapped});
  }
  for (std::int32_t m = 0; m < heads.modules(); ++m) {
    add_module("heads." + std::to_string(m) + ".", heads, config, layout);
  }
  if (!heads.draft_vocab_size) return;
  if (!heads.own_unembedding) {
    layout.matrices.push_back({"heads.unembed.weight", *heads.draft_vocab_size, hidden});
  }
  layout.ids.push_back({"heads.draft_ids", *heads.draft_vocab_size, config.vocab_size});
}

}  // namespace mtp_rt::io
