// Which graph runs which head, and what it scores.
#pragma once

#include <string>
#include <vector>

#include "engines/graphs/graph.h"
#include "mtp_rt/model_dir.h"
#include "mtp_rt/token.h"

namespace mtp_rt::graphs {

/// "draft", "draft_2", ...: the graph of a module of sequential heads; all others share the first.
[[nodiscard]] std::string graph_of(int module);

/// The tokens that the heads score, ascending; empty: all.
[[nodiscard]] std::vector<Token> draft_ids(const ModelDir& model, const HeadsConfig& heads);

/// What a loop needs to know of heads without caches.
[[nodiscard]] LoopHeads loop_heads(const ModelDir& model, const HeadsConfig& heads);

}  // namespace mtp_rt::graphs
