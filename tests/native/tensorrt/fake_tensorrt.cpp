#include "fake_tensorrt.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <new>
#include <string_view>

#include "fake_cuda.h"
#include "fake_model.h"
#include "tensorrt_stubs.h"

namespace mtp_rt::testing {
namespace {

struct Library {
  nvinfer1::ILogger* logger = nullptr;
  nvinfer1::IGpuAllocator* allocator = nullptr;

  void say(const char* text) const {
    logger->log(nvinfer1::ILogger::Severity::kWARNING, "a warning");
    logger->log(nvinfer1::ILogger::Severity::kERROR, text);
  }
};

Dims dims_of(const std::vector<std::int64_t>& shape) {
  Dims dims{};
  dims.nbDims = static_cast<std::int32_t>(shape.size());
  std::ranges::copy(shape, std::begin(dims.d));
  return dims;
}

const FakeTensor& tensor(std::string_view name) {
  return *std::ranges::find(fake_plan().tensors, name, &FakeTensor::name);
}

class ContextBody final : public StubExecutionContext {
 public:
  explicit ContextBody(const Library& library) : library_(library) {}

  void setDeviceMemoryV2(void* memory, std::int64_t size) noexcept override {
    scratch_ = size >= fake_plan().scratch && is_gpu_memory(memory, static_cast<std::size_t>(size)) ? memory
                                                                                                    : nullptr;
  }
  bool setOptimizationProfileAsync(std::int32_t profile, cudaStream_t) noexcept override {
    profile_ = profile;
    return profile < fake_plan().profiles;
  }
  bool setInputShape(const char* name, const Dims& dims) noexcept override {
    const std::vector<std::int64_t>& declared = tensor(name).shape;
    bool fits = !fake_plan().refuses_shapes && dims.nbDims == std::ssize(declared);
    for (std::size_t i = 0; fits && i < declared.size(); ++i)
      fits = declared[i] == -1 || declared[i] == dims.d[i];
    if (!fits) library_.say("shape\x01 is\nrefused");
    shapes_[name].assign(dims.d, dims.d + (fits ? dims.nbDims : 0));
    return fits;
  }
  Dims getTensorShape(const char* name) const noexcept override {
    const auto given = shapes_.find(name);
    if (given != shapes_.end()) return dims_of(given->second);
    const auto tokens = shapes_.find("tokens");
    if (tokens == shapes_.end()) return dims_of({-1});
    std::vector<std::int64_t> shape = tensor(name).shape;
    shape[0] = tokens->second[0];
    if (shape.size() == 3) shape[1] = tokens->second[1];
    if (shape.size() == 4) shape[1] = fake_plan().present_heads;
    return dims_of(shape);
  }
  bool setTensorAddress(const char* name, void* data) noexcept override {
    addresses_[name] = data;
    return reinterpret_cast<std::uintptr_t>(data) % 256 == 0 && is_gpu_memory(data, 1);
  }
  bool enqueueV3(cudaStream_t stream) noexcept override {
    if (fake_plan().fails || stream == nullptr || (fake_plan().scratch > 0 && scratch_ == nullptr)) {
      library_.say("it does not run");
      return false;
    }
    if (fake_plan().scratch > 0) std::memset(scratch_, 1, static_cast<std::size_t>(fake_plan().scratch));
    for (const FakeTensor& each : fake_plan().tensors) {
      if (!addresses_.contains(each.name)) return false;
    }
    if (fake_plan().grumbles) library_.say("never mind");
    compute();
    return true;
  }

 private:
  void compute() {
    const std::int64_t batch = shapes_["tokens"][0];
    const std::int64_t width = shapes_["tokens"][1];
    const auto* tokens = static_cast<const std::int64_t*>(addresses_["tokens"]);
    auto* logits = static_cast<float*>(addresses_["logits"]);
    for (std::int64_t i = 0; i < batch * width * kVocab; ++i) {
      const std::int64_t row = i / kVocab;
      logits[i] = static_cast<float>(10 * tokens[row] + i % kVocab + 1000 * profile_);
    }
    std::memset(addresses_["states"], 0, static_cast<std::size_t>(batch * width) * 2 * sizeof(std::uint16_t));
    for (const auto& [name, memory] : addresses_) {
      if (!name.starts_with("present_")) continue;
      const auto* past = static_cast<const std::uint16_t*>(addresses_["past_" + name.substr(8)]);
      auto* present = static_cast<std::uint16_t*>(memory);
      for (std::int64_t i = 0; i < batch * kHeads * kPlaces * kHeadDim; ++i) {
        const bool is_first = i / kHeadDim % kPlaces == 0;
        const std::int64_t token = tokens[i / (kHeads * kPlaces * kHeadDim) * width];
        present[i] = static_cast<std::uint16_t>(past[i] + (is_first ? token : 0));
      }
    }
  }

  Library library_;
  void* scratch_ = nullptr;
  std::int32_t profile_ = 0;
  std::map<std::string, std::vector<std::int64_t>> shapes_;
  std::map<std::string, void*> addresses_;
};

class Context final : public nvinfer1::IExecutionContext {
 public:
  explicit Context(const Library& library) : body_(library) { mImpl = &body_; }

 private:
  ContextBody body_;
};

class EngineBody final : public StubCudaEngine {
 public:
  EngineBody(const Library& library, void* weights) : library_(library), weights_(weights) {}
  ~EngineBody() override { library_.allocator->deallocateAsync(weights_, nullptr); }

  IExecutionContext* createExecutionContext(ExecutionContextAllocationStrategy strategy) noexcept override {
    ++fake_plan().contexts_made;
    return strategy == ExecutionContextAllocationStrategy::kUSER_MANAGED ? new (std::nothrow)
                                                                               Context(library_)
                                                                         : nullptr;
  }
  std::int32_t getNbOptimizationProfiles() const noexcept override { return fake_plan().profiles; }
  std::int64_t getDeviceMemorySizeV2() const noexcept override { return fake_plan().scratch; }
  std::int32_t getNbIOTensors() const noexcept override {
    return static_cast<std::int32_t>(fake_plan().tensors.size());
  }
  const char* getIOTensorName(std::int32_t index) const noexcept override {
    return fake_plan().tensors[static_cast<std::size_t>(index)].name.c_str();
  }
  Dims getTensorShape(const char* name) const noexcept override { return dims_of(tensor(name).shape); }
  DataType getTensorDataType(const char* name) const noexcept override { return tensor(name).type; }
  TensorLocation getTensorLocation(const char*) const noexcept override { return TensorLocation::kDEVICE; }
  bool isShapeInferenceIO(const char* name) const noexcept override { return tensor(name).decides_shapes; }
  TensorIOMode getTensorIOMode(const char* name) const noexcept override {
    return tensor(name).is_input ? TensorIOMode::kINPUT : TensorIOMode::kOUTPUT;
  }
  TensorFormat getTensorFormatV2(const char*, std::int32_t) const noexcept override {
    return TensorFormat::kLINEAR;
  }

 private:
  Library library_;
  void* weights_;
};

class Engine final : public nvinfer1::ICudaEngine {
 public:
  Engine(const Library& library, void* weights) : body_(library, weights) { mImpl = &body_; }

 private:
  EngineBody body_;
};

class RuntimeBody final : public StubRuntime {
 public:
  explicit RuntimeBody(nvinfer1::ILogger* logger) : library_{logger, nullptr} {}

  void setGpuAllocator(IGpuAllocator* allocator) noexcept override { library_.allocator = allocator; }
  nvinfer1::ICudaEngine* deserializeCudaEngine(const void* blob, std::size_t size) noexcept override {
    const std::string_view words(static_cast<const char*>(blob), size);
    const ModelPlan model(words);
    if (!model.kind.empty()) return open_model(model, library_.logger);
    if (words != "plan") {
      library_.say("no plan of ours");
      return nullptr;
    }
    void* weights = library_.allocator->allocateAsync(fake_plan().weights, 256, 0, nullptr);
    if (weights == nullptr && fake_plan().weights > 0) return nullptr;
    return new (std::nothrow) Engine(library_, weights);
  }

 private:
  Library library_;
};

class FakeRuntime final : public nvinfer1::IRuntime {
 public:
  explicit FakeRuntime(nvinfer1::ILogger* logger) : body_(logger) { mImpl = &body_; }

 private:
  RuntimeBody body_;
};

}  // namespace

FakePlan usual_plan() {
  FakePlan plan;
  const std::vector<std::int64_t> cache{-1, kHeads, kPlaces, kHeadDim};
  plan.tensors = {{"tokens", true, DataType::kINT64, {-1, -1}}, {"wide", true, DataType::kBOOL, {-1}}};
  for (const char* name : {"past_0", "past_1"}) plan.tensors.push_back({name, true, DataType::kHALF, cache});
  plan.tensors.push_back({"logits", false, DataType::kFLOAT, {-1, -1, kVocab}});
  plan.tensors.push_back({"states", false, DataType::kHALF, {-1, -1, 2}});
  for (const char* name : {"present_0", "present_1"})
    plan.tensors.push_back({name, false, DataType::kHALF, cache});
  return plan;
}

FakePlan& fake_plan() {
  static FakePlan plan = usual_plan();
  return plan;
}

}  // namespace mtp_rt::testing

extern "C" void* createInferRuntime_INTERNAL(void* logger, std::int32_t version) noexcept {
  if (version != NV_TENSORRT_VERSION) return nullptr;
  return static_cast<nvinfer1::IRuntime*>(
      new (std::nothrow) mtp_rt::testing::FakeRuntime(static_cast<nvinfer1::ILogger*>(logger)));
}
