// The engine over exported graphs, whatever runs them.
#pragma once

#include <memory>
#include <string>

#include "engines/graphs/graph.h"
#include "mtp_rt/engine.h"

namespace mtp_rt::graphs {

/// What make_engine_info() makes of the options. Throws as it does, and ArgumentError or UnsupportedError on
/// options that only the native engine has.
[[nodiscard]] EngineInfo graph_engine_info(const std::string& name, const std::string& device,
                                           const ModelConfig& config, const EngineOptions& options);

/// Opens the graphs of `model` in `backend`, one slot after the other in every call.
///
/// `info`: from graph_engine_info(); what the weights and heads say is filled in. Throws as the backend does.
[[nodiscard]] std::unique_ptr<Engine> open_graphs(std::shared_ptr<const ModelDir> model, EngineInfo info,
                                                  std::unique_ptr<Backend> backend);

}  // namespace mtp_rt::graphs
