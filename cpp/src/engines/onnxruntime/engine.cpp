#include "engines/onnxruntime/engine.h"

#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "engines/graphs/engine.h"
#include "engines/onnxruntime/bound_graph.h"
#include "engines/onnxruntime/row_mover.h"

namespace mtp_rt::onnxruntime {
namespace {

class OnnxRuntime final : public graphs::Backend {
 public:
  OnnxRuntime(std::shared_ptr<const ModelDir> model, const RuntimeOptions& options)
      : model_(std::move(model)), runtime_(options) {
    if (runtime_.caches() == Place::device) mover_.emplace(runtime_);
  }

  [[nodiscard]] std::unique_ptr<graphs::Graph> open(const std::string& name,
                                                    const graphs::Signature& signature,
                                                    const graphs::GraphCaches& caches) override {
    return std::make_unique<BoundGraph>(runtime_, mover_ ? &*mover_ : nullptr, *model_, file_of(name),
                                        signature, caches);
  }

  [[nodiscard]] int max_width() const noexcept override { return std::numeric_limits<int>::max(); }

 private:
  /// The form for one sequence where the directory has it: slots run one after the other. Its attention
  /// computes in host memory alone, in float32.
  [[nodiscard]] std::string file_of(const std::string& name) const {
    const std::string single = name + ".single.onnx";
    const bool fits = runtime_.caches() == Place::host;
    return fits && std::filesystem::exists(model_->path() / single) ? single : name + ".onnx";
  }

  std::shared_ptr<const ModelDir> model_;
  Runtime runtime_;
  std::optional<RowMover> mover_;  // of caches with the device
};

std::unique_ptr<Engine> open_engine(std::shared_ptr<const ModelDir> model, const EngineOptions& options,
                                    bool device_caches) {
  EngineInfo info = graphs::graph_engine_info("onnxruntime", options.provider, model->config(), options);
  auto backend = std::make_unique<OnnxRuntime>(
      model, RuntimeOptions{options.library, options.provider, info.threads, device_caches});
  return graphs::open_graphs(std::move(model), std::move(info), std::move(backend));
}

}  // namespace

std::unique_ptr<Engine> open(std::shared_ptr<const ModelDir> model, const EngineOptions& options) {
  return open_engine(std::move(model), options, false);
}

std::unique_ptr<Engine> open_with_device_caches(std::shared_ptr<const ModelDir> model,
                                                const EngineOptions& options) {
  return open_engine(std::move(model), options, true);
}

}  // namespace mtp_rt::onnxruntime
