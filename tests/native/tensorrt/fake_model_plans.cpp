// The model's plans as TensorRT opens and runs them.
#include <algorithm>
#include <new>
#include <sstream>

#include "fake_cuda.h"
#include "fake_model.h"

namespace mtp_rt::testing {
namespace {

Dims dims_of(const std::vector<std::int64_t>& shape) {
  Dims dims{};
  dims.nbDims = static_cast<std::int32_t>(shape.size());
  std::ranges::copy(shape, std::begin(dims.d));
  return dims;
}

const FakeTensor& find(const ModelPlan& plan, std::string_view name) {
  return *std::ranges::find(plan.tensors, name, &FakeTensor::name);
}

class ContextBody final : public StubExecutionContext {
 public:
  ContextBody(const ModelPlan& plan, nvinfer1::ILogger* logger) : logger_(logger), call_(plan) {}

  void setDeviceMemoryV2(void*, std::int64_t) noexcept override {}
  bool setOptimizationProfileAsync(std::int32_t profile, cudaStream_t) noexcept override {
    profile_ = profile;
    return true;
  }
  bool setInputShape(const char* name, const Dims& dims) noexcept override {
    const std::vector<std::int64_t> shape(dims.d, dims.d + dims.nbDims);
    const std::vector<std::int64_t>& declared = find(call_.plan(), name).shape;
    if (shape.size() != declared.size()) return false;
    for (std::size_t i = 0; i < shape.size(); ++i) {
      if (declared[i] >= 0 && declared[i] != shape[i]) return false;
      if (declared[i] < 0 && i < 2 && !takes(i == 0, shape[i])) return false;
      if (declared[i] < 0) sizes_[declared[i]] = shape[i];
    }
    has_run_ = has_run_ && call_.shapes[name] == shape;
    call_.shapes[name] = shape;
    return true;
  }
  Dims getTensorShape(const char* name) const noexcept override {
    std::vector<std::int64_t> shape = find(call_.plan(), name).shape;
    for (std::int64_t& size : shape) {
      if (size < 0) size = sizes_.contains(size) ? sizes_.at(size) : -1;
    }
    return dims_of(shape);
  }
  bool setTensorAddress(const char* name, void* data) noexcept override {
    call_.addresses[name] = data;
    return reinterpret_cast<std::uintptr_t>(data) % 256 == 0 && is_gpu_memory(data, 1);
  }
  bool enqueueV3(cudaStream_t) noexcept override {
    const bool bound = call_.addresses.size() == call_.plan().tensors.size();
    const bool unready = is_capturing() && !has_run_;
    if (!bound || unready || model_faults().fails || (is_capturing() && model_faults().fails_in_capture)) {
      logger_->log(nvinfer1::ILogger::Severity::kERROR,
                   unready ? "captured before it ran" : "it does not run");
      return false;
    }
    has_run_ = true;
    on_gpu([call = call_] { return call.run(); });
    return true;
  }

 private:
  /// Whether the profile takes so many sequences, or so many rows of each.
  [[nodiscard]] bool takes(bool sequences, std::int64_t size) const {
    const std::int32_t rows = call_.plan().kind == "verify" ? kModelRows : 1;
    return size == (sequences ? kModelBatch - profile_ / rows : rows - profile_ % rows);
  }

  nvinfer1::ILogger* logger_;
  ModelCall call_;
  std::int32_t profile_ = 0;
  std::map<std::int64_t, std::int64_t> sizes_;
  bool has_run_ = false;
};

class Context final : public nvinfer1::IExecutionContext {
 public:
  Context(const ModelPlan& plan, nvinfer1::ILogger* logger) : body_(plan, logger) { mImpl = &body_; }

 private:
  ContextBody body_;
};

class EngineBody final : public StubCudaEngine {
 public:
  EngineBody(const ModelPlan& plan, nvinfer1::ILogger* logger) : plan_(plan), logger_(logger) {}

  IExecutionContext* createExecutionContext(ExecutionContextAllocationStrategy) noexcept override {
    ++model_contexts();
    return new (std::nothrow) Context(plan_, logger_);
  }
  std::int32_t getNbOptimizationProfiles() const noexcept override {
    return kModelBatch * (plan_.kind == "verify" ? kModelRows : 1);
  }
  std::int64_t getDeviceMemorySizeV2() const noexcept override { return 512; }
  std::int32_t getNbIOTensors() const noexcept override {
    return static_cast<std::int32_t>(plan_.tensors.size());
  }
  const char* getIOTensorName(std::int32_t index) const noexcept override {
    return plan_.tensors[static_cast<std::size_t>(index)].name.c_str();
  }
  Dims getTensorShape(const char* name) const noexcept override {
    std::vector<std::int64_t> shape = find(plan_, name).shape;
    for (std::int64_t& size : shape) size = std::max<std::int64_t>(size, -1);
    return dims_of(shape);
  }
  DataType getTensorDataType(const char* name) const noexcept override { return find(plan_, name).type; }
  TensorLocation getTensorLocation(const char*) const noexcept override { return TensorLocation::kDEVICE; }
  bool isShapeInferenceIO(const char*) const noexcept override { return false; }
  TensorIOMode getTensorIOMode(const char* name) const noexcept override {
    return find(plan_, name).is_input ? TensorIOMode::kINPUT : TensorIOMode::kOUTPUT;
  }
  TensorFormat getTensorFormatV2(const char*, std::int32_t) const noexcept override {
    return TensorFormat::kLINEAR;
  }

 private:
  ModelPlan plan_;
  nvinfer1::ILogger* logger_;
};

class Engine final : public nvinfer1::ICudaEngine {
 public:
  Engine(const ModelPlan& plan, nvinfer1::ILogger* logger) : body_(plan, logger) { mImpl = &body_; }

 private:
  EngineBody body_;
};

std::vector<FakeTensor> tensors_of(const ModelPlan& plan) {
  constexpr auto kI64 = DataType::kINT64;
  constexpr auto kF32 = DataType::kFLOAT;
  if (plan.kind == "draft_all") {
    return {{"state", true, kF32, {kAnyBatch, kAnyWidth, kModelHidden}},
            {"logits", false, kF32, {kAnyBatch, kAnyWidth, plan.number, plan.scores()}},
            {"ids", false, kI64, {kAnyBatch, kAnyWidth, plan.number}}};
  }
  if (plan.kind == "draft") {
    return {{"state", true, kF32, {kAnyBatch, kAnyWidth, kModelHidden}},
            {"tokens", true, kI64, {kAnyBatch, kAnyWidth}},
            {"logits", false, kF32, {kAnyBatch, kAnyWidth, plan.scores()}},
            {"ids", false, kI64, {kAnyBatch, kAnyWidth}},
            {"next_state", false, kF32, {kAnyBatch, kAnyWidth, kModelHidden}}};
  }
  std::vector<FakeTensor> tensors{{"tokens", true, kI64, {kAnyBatch, kAnyWidth}},
                                  {"positions", true, kI64, {kAnyBatch, kAnyWidth}},
                                  {"lengths", true, kI64, {kAnyBatch}},
                                  {"tree", true, DataType::kBOOL, {kAnyBatch, kAnyWidth, kAnyWidth}},
                                  {"rows", true, kI64, {kAnyBatch, kAnyRows}},
                                  {"logits", false, kF32, {kAnyBatch, kAnyRows, kModelVocab}},
                                  {"state", false, kF32, {kAnyBatch, kAnyWidth, kModelHidden}}};
  for (const char* name : {"past.0.key", "past.0.value", "present.0.key", "present.0.value"}) {
    const bool is_past = std::string_view(name).starts_with("past");
    tensors.push_back({name, is_past, DataType::kHALF, {kAnyBatch, kModelHeads, kModelPlaces, kModelDim}});
  }
  return tensors;
}

}  // namespace

ModelPlan::ModelPlan(std::string_view words) {
  std::istringstream stream{std::string(words)};
  stream >> kind >> number >> stride;
  if (kind != "verify" && kind != "draft" && kind != "draft_all") kind.clear();
  tensors = tensors_of(*this);
  std::erase_if(tensors, [](const FakeTensor& tensor) { return tensor.name == model_faults().without; });
}

ModelFaults& model_faults() {
  static ModelFaults faults;
  return faults;
}

nvinfer1::ICudaEngine* open_model(const ModelPlan& plan, nvinfer1::ILogger* logger) {
  return new (std::nothrow) Engine(plan, logger);
}

}  // namespace mtp_rt::testing
