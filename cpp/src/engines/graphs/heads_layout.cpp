#include "engines/graphs/heads_layout.h"

#include <cstddef>
#include <cstring>

namespace mtp_rt::graphs {

std::string graph_of(int module) { return module == 0 ? "draft" : "draft_" + std::to_string(module + 1); }

std::vector<Token> draft_ids(const ModelDir& model, const HeadsConfig& heads) {
  if (!heads.draft_vocab_size) return {};
  const TensorView view = model.tensor("heads.draft_ids");
  std::vector<Token> ids(static_cast<std::size_t>(*heads.draft_vocab_size));
  std::memcpy(ids.data(), view.bytes.data(), view.bytes.size());
  return ids;
}

LoopHeads loop_heads(const ModelDir& model, const HeadsConfig& heads) {
  LoopHeads found;
  found.sequential = heads.wiring == HeadWiring::sequential;
  found.draft_ids = draft_ids(model, heads);
  for (int depth = 0; depth < heads.count; ++depth) {
    found.graphs.push_back(graph_of(found.sequential && !heads.shared ? depth : 0));
  }
  return found;
}

}  // namespace mtp_rt::graphs
