#include "engines/onnxruntime/engine.h"

#include <filesystem>
#include <limits>
#include <string>
#include <utility>

#include "engines/graphs/engine.h"
#include "engines/onnxruntime/bound_graph.h"

namespace mtp_rt::onnxruntime {
namespace {

class OnnxRuntime final : public graphs::Backend {
 public:
  OnnxRuntime(std::shared_ptr<const ModelDir> model, const EngineOptions& options, int threads)
      : model_(std::move(model)), runtime_(options.library, options.provider, threads) {}

  [[nodiscard]] std::unique_ptr<graphs::Graph> open(const std::string& name,
                                                    const graphs::Signature& signature,
                                                    const graphs::GraphCaches& caches) override {
    return std::make_unique<BoundGraph>(runtime_, *model_, file_of(name), signature, caches);
  }

  [[nodiscard]] int max_width() const noexcept override { return std::numeric_limits<int>::max(); }

 private:
  /// The form for one sequence where the directory has it: slots run one after the other.
  [[nodiscard]] std::string file_of(const std::string& name) const {
    const std::string single = name + ".single.onnx";
    return std::filesystem::exists(model_->path() / single) ? single : name + ".onnx";
  }

  std::shared_ptr<const ModelDir> model_;
  Runtime runtime_;
};

}  // namespace

std::unique_ptr<Engine> open(std::shared_ptr<const ModelDir> model, const EngineOptions& options) {
  EngineInfo info = graphs::graph_engine_info("onnxruntime", options.provider, model->config(), options);
  auto backend = std::make_unique<OnnxRuntime>(model, options, info.threads);
  return graphs::open_graphs(std::move(model), std::move(info), std::move(backend));
}

}  // namespace mtp_rt::onnxruntime
