#include "engines/tensorrt/engine.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/sha256.h"
#include "engines/cuda/part.h"
#include "engines/graphs/engine.h"
#include "engines/tensorrt/headers.h"
#include "engines/tensorrt/library.h"
#include "engines/tensorrt/plan_graph.h"
#include "io/mapped_file.h"
#include "mtp_rt/error.h"

namespace mtp_rt::tensorrt {
namespace {

constexpr const char* kWeights = "model.safetensors";

/// Throws ModelFormatError unless a file has the digest that the record names.
void check_digest(std::span<const std::byte> bytes, const std::string& file, const std::string& digest) {
  if (sha256(bytes) == digest) return;
  throw ModelFormatError(file, "",
                         std::string("is not the file that ") + kPlansRecord +
                             " speaks of (another SHA-256); mtp-rt export --tensorrt writes both");
}

/// The context that the options ask for, or else the longest of the trunk's plans.
std::int32_t context_of(const PlansRecord& record, const EngineOptions& options) {
  std::int32_t longest = options.context;
  if (longest > 0) return longest;
  for (const Plan& plan : record.plans) {
    if (plan.graph == "verify") longest = std::max(longest, plan.context);
  }
  return longest;
}

/// Bytes of a stored tensor in a plan: q4 keeps its parts, other matrices become float16, vectors float32.
std::size_t plan_bytes(const ModelDir& model, const std::string& name) {
  const TensorView tensor = model.tensor(name);
  const std::string stem = name.substr(0, name.rfind('.'));
  if (model.has_tensor(stem + ".q8")) return name.ends_with(".q8") ? 2 * tensor.bytes.size() : 0;
  if (tensor.shape.size() != 2 || model.has_tensor(stem + ".q4")) return tensor.bytes.size();
  return tensor.dtype == DType::f32 ? tensor.bytes.size() / 2 : tensor.bytes.size();
}

/// Whether steps may run on the device: MTP_RT_DEVICE_LOOP is not 0.
bool loops_on_device() {
  const char* wanted = std::getenv("MTP_RT_DEVICE_LOOP");
  const std::string_view text = wanted == nullptr ? "" : wanted;
  if (text.empty() || text == "1") return true;
  if (text == "0") return false;
  throw ArgumentError("MTP_RT_DEVICE_LOOP is '" + std::string(text) +
                      "'; 0 steps on the host, 1 on the device");
}

/// The profiles [b - 1][w - 1] of steps of b = 1 .. `batch` sequences with w = 1 .. `rows` rows each.
std::vector<std::vector<std::int32_t>> profiles_by_batch(const PlanGraph& graph, int batch, int rows) {
  std::vector<std::vector<std::int32_t>> profiles;
  while (std::ssize(profiles) < batch) {
    std::vector<std::int32_t> widths = graph.step_profiles(static_cast<int>(profiles.size()) + 1, rows);
    if (widths.empty()) break;
    profiles.push_back(std::move(widths));
  }
  return profiles;
}

class TensorRt final : public graphs::Backend {
 public:
  TensorRt(std::unique_ptr<cuda::PlanDevice> device, std::shared_ptr<const ModelDir> model,
           const PlansRecord& record, std::int32_t context)
      : device_(std::move(device)), model_(std::move(model)), record_(record), context_(context) {}

  [[nodiscard]] std::unique_ptr<graphs::Graph> open(const std::string& name,
                                                    const graphs::Signature& signature,
                                                    const graphs::GraphCaches& caches) override {
    const Plan& plan = plan_for(record_, name, context_);
    const io::MappedFile file(model_->path() / plan.file, plan.file);
    check_digest(file.bytes(), plan.file, plan.sha256);
    auto graph = std::make_unique<PlanGraph>(*device_, plan, file.bytes(), signature, caches);
    opened_[name] = graph.get();
    return graph;
  }

  [[nodiscard]] std::unique_ptr<DeviceLoop> make_loop(const EngineInfo& info,
                                                      const graphs::LoopHeads& heads) override {
    if (!loops_on_device()) return nullptr;
    const PlanGraph& verify = *opened_.at("verify");
    cuda::PlanLoopModel loop;
    loop.slots = info.slots;
    loop.context = info.context;
    loop.vocab = info.vocab_size;
    loop.hidden = info.hidden_size;
    loop.verify = &verify.plan();
    loop.caches = verify.caches();
    loop.cache_names = verify.cache_names();
    const int batch = std::min(info.slots, record_.batch);
    loop.verify_profiles = profiles_by_batch(verify, batch, record_.step_width);
    loop.sequential = heads.sequential;
    loop.draft_ids = heads.draft_ids;
    for (const std::string& name : heads.graphs) {
      const PlanGraph& graph = *opened_.at(name);
      cuda::PlanHead& head = loop.heads.emplace_back(&graph.plan());
      for (const auto& profiles : profiles_by_batch(graph, batch, 1)) head.profiles.push_back(profiles[0]);
      if (head.profiles.empty()) return nullptr;
    }
    return loop.verify_profiles.empty() ? nullptr : device_->make_loop(loop);
  }

  [[nodiscard]] int max_width() const noexcept override { return record_.prompt_width; }

  [[nodiscard]] std::size_t weight_bytes(const ModelDir& model, const std::string& tensor) const override {
    return plan_bytes(model, tensor);
  }

 private:
  std::unique_ptr<cuda::PlanDevice> device_;
  std::shared_ptr<const ModelDir> model_;
  PlansRecord record_;
  std::int32_t context_;
  std::map<std::string, const PlanGraph*> opened_;  // the engine's, which outlive what asks for them
};

void check_heads(const ModelConfig& config, const PlansRecord& record) {
  const std::int32_t heads = config.extra_heads ? config.extra_heads->count : 0;
  const std::int32_t rows = std::min(record.step_width, record.prompt_width);
  if (heads < rows) return;
  throw UnsupportedError("engine 'tensorrt': the plans take " + std::to_string(rows) +
                         " rows in a step, too few for the drafts of " + std::to_string(heads) +
                         " extra heads; export again");
}

}  // namespace

std::unique_ptr<Engine> open_on(std::unique_ptr<cuda::PlanDevice> device,
                                std::shared_ptr<const ModelDir> model, const PlansRecord& record,
                                const EngineOptions& options) {
  check_gpu(record, device->compute_capability());
  check_heads(model->config(), record);
  check_digest(io::MappedFile(model->path() / kWeights, kWeights).bytes(), kWeights, record.weights_sha256);
  EngineOptions fitting = options;
  fitting.context = context_of(record, options);
  EngineInfo info = graphs::graph_engine_info("tensorrt", device->name(), model->config(), fitting);
  info.max_rows = std::min(info.max_rows, record.prompt_width);
  auto backend = std::make_unique<TensorRt>(std::move(device), model, record, info.context);
  return graphs::open_graphs(std::move(model), std::move(info), std::move(backend));
}

std::unique_ptr<Engine> open(std::shared_ptr<const ModelDir> model, const EngineOptions& options) {
  const PlansRecord record = read_plans_record(*model);
  const cuda::PartApi& part = cuda::open_part();
  const Library library(options.library, record);
  check_headers(part.tensorrt_headers == nullptr ? "" : part.tensorrt_headers, library.name(),
                library.version());
  return open_on(part.open_plan_device(library.handle()), std::move(model), record, options);
}

}  // namespace mtp_rt::tensorrt
