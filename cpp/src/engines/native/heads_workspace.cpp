#include "engines/native/heads_workspace.h"

namespace mtp_rt::native {
namespace {

// A layer as wide as a head's, over as many scores.
ModelConfig layer_config(ModelConfig config, const HeadsConfig& heads, int scores) {
  config.intermediate_size = heads.intermediate_size;
  config.vocab_size = scores;
  return config;
}

AlignedBuffer floats(int rows, int size) {
  return AlignedBuffer(static_cast<std::size_t>(rows) * static_cast<std::size_t>(size) * sizeof(float));
}

}  // namespace

HeadsWorkspace::HeadsWorkspace(const ModelConfig& c, const HeadsConfig& heads, const KvCache& cache,
                               int max_rows, int max_sequences, int context, int threads, int scores)
    : layer(layer_config(c, heads, scores), cache, max_rows, context, threads),
      depths(static_cast<std::size_t>(heads.count)),
      segments((static_cast<std::size_t>(scores) + kSegment - 1) / kSegment),
      origin(floats(max_rows, c.hidden_size)),
      embedded(floats(max_rows, c.hidden_size)),
      embedded_squares(static_cast<std::size_t>(max_rows) * static_cast<std::size_t>(c.hidden_size / kUnit)),
      tapped(max_rows, static_cast<int>(heads.taps.size()) * c.hidden_size / kBlock),
      input(max_rows, (heads.wiring == HeadWiring::sequential ? 2 : 1) * c.hidden_size / kBlock),
      logits(floats(max_sequences, scores)),
      sums(static_cast<std::size_t>(max_sequences) * depths * segments),
      state_scales(static_cast<std::size_t>(threads),
                   std::vector<float>(static_cast<std::size_t>(max_rows))) {
  for (int t = 0; t < threads; ++t) segment_copies.emplace_back(kSegment * sizeof(float));
}

}  // namespace mtp_rt::native
