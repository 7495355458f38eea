#include "engines/onnxruntime/session.h"

#include <algorithm>

#include "mtp_rt/error.h"

namespace mtp_rt::onnxruntime {
namespace {

using graphs::Tensor;

// The weights as they lie in our mapping of the file: ONNX Runtime opens no file.
std::vector<Owned<OrtValue>> give_weights(const Runtime& runtime, const io::OnnxFile& graph,
                                          OrtSessionOptions* options) {
  std::vector<Owned<OrtValue>> values;
  std::vector<const char*> names;
  std::vector<const OrtValue*> borrowed;
  for (const io::GraphWeight& weight : graph.weights) {
    // The library never writes to initializers, though its interface takes memory that it could write to.
    auto* data = const_cast<std::byte*>(weight.bytes.data());
    values.push_back(runtime.tensor(Place::host, data, weight.bytes.size(), weight.shape,
                                    static_cast<ElementType>(weight.type)));
    names.push_back(weight.name.c_str());
    borrowed.push_back(values.back().get());
  }
  runtime.library().check(
      runtime.api().AddExternalInitializers(options, names.data(), borrowed.data(), names.size()), "weights");
  return values;
}

// Which of its two lists a session is asked for.
struct Side {
  const char* name;
  decltype(OrtApi::SessionGetInputCount) count;
  decltype(OrtApi::SessionGetInputName) item_name;
  decltype(OrtApi::SessionGetInputTypeInfo) type;
};

std::string name_of(const Runtime& runtime, const OrtSession* session, const Side& side, std::size_t index,
                    const std::string& file) {
  const auto check = [&](OrtStatus* status) { runtime.library().check(status, file); };
  OrtAllocator* allocator = nullptr;
  check(runtime.api().GetAllocatorWithDefaultOptions(&allocator));
  char* text = nullptr;
  check(side.item_name(session, index, allocator, &text));
  std::string name = text;
  check(runtime.api().AllocatorFree(allocator, text));
  return name;
}

Side inputs_of(const OrtApi& api) {
  return {"input", api.SessionGetInputCount, api.SessionGetInputName, api.SessionGetInputTypeInfo};
}

class SignatureCheck {
 public:
  SignatureCheck(const Runtime& runtime, const OrtSession* session, const std::string& file)
      : runtime_(runtime), session_(session), file_(file) {}

  void run(const Side& side, std::span<const Tensor> expected) const {
    std::size_t count = 0;
    check(side.count(session_, &count));
    std::vector<bool> seen(expected.size());
    for (std::size_t i = 0; i < count; ++i) {
      const std::string name = name_of(runtime_, session_, side, i, file_);
      const auto tensor = std::ranges::find(expected, name, &Tensor::name);
      if (tensor == expected.end()) refuse(std::string("has the ") + side.name + " '" + name + "'");
      seen[static_cast<std::size_t>(tensor - expected.begin())] = true;
      check_type(side, i, *tensor);
    }
    const auto missing = std::ranges::find(seen, false);
    if (missing != seen.end()) {
      const auto at = static_cast<std::size_t>(missing - seen.begin());
      refuse(std::string("lacks the ") + side.name + " '" + expected[at].name + "'");
    }
  }

 private:
  void check_type(const Side& side, std::size_t index, const Tensor& expected) const {
    const OrtApi& api = runtime_.api();
    const auto info = make_owned(runtime_.library(), api.ReleaseTypeInfo, file_,
                                 [&](OrtTypeInfo** out) { return side.type(session_, index, out); });
    const OrtTensorInfo* tensor = nullptr;
    check(api.CastTypeInfoToTensorInfo(info.get(), &tensor));
    auto type = ElementType::undefined;
    std::size_t dimensions = 0;
    if (tensor != nullptr) {
      check(api.GetTensorElementType(tensor, &type));
      check(api.GetDimensionsCount(tensor, &dimensions));
    }
    std::vector<std::int64_t> shape(dimensions);
    if (dimensions > 0) check(api.GetDimensions(tensor, shape.data(), dimensions));
    const auto fits = [](std::int64_t found, std::int64_t wanted) {
      return found == std::max<std::int64_t>(wanted, -1) || (wanted == graphs::kBatch && found == 1);
    };
    if (type != element_type(expected.type) || !std::ranges::equal(shape, expected.shape, fits))
      refuse(std::string("has another type or shape of the ") + side.name + " '" + expected.name + "'");
  }

  void check(OrtStatus* status) const { runtime_.library().check(status, file_); }

  [[noreturn]] void refuse(const std::string& problem) const {
    throw ModelFormatError(file_, "", problem + ", which graphs of this model do not have; export again");
  }

  const Runtime& runtime_;
  const OrtSession* session_;
  const std::string& file_;
};

}  // namespace

ElementType element_type(graphs::NumberType type) noexcept {
  switch (type) {
    case graphs::NumberType::f32:
      return ElementType::f32;
    case graphs::NumberType::i64:
      return ElementType::i64;
    case graphs::NumberType::boolean:
      return ElementType::boolean;
  }
  return ElementType::undefined;
}

Owned<OrtSession> open_session(const Runtime& runtime, const io::OnnxFile& graph, const std::string& file,
                               std::span<const Tensor> inputs, std::span<const Tensor> outputs) {
  const OrtApi& api = runtime.api();
  const auto options = runtime.session_options();
  const auto weights = give_weights(runtime, graph, options.get());
  OrtSession* opened = nullptr;
  OrtStatus* status = api.CreateSessionFromArray(runtime.env(), graph.bytes.data(), graph.bytes.size(),
                                                 options.get(), &opened);
  if (status != nullptr) {
    const bool lacks = api.GetErrorCode(status) == kNotImplemented;
    const std::string said = runtime.library().message(status);
    const std::string problem = "ONNX Runtime " + runtime.library().version() + " cannot open it: " + said;
    if (is_out_of_memory(said)) throw CapacityError(file + ": " + problem);
    if (lacks) throw UnsupportedError(file + ": " + problem);
    throw ModelFormatError(file, "", problem);
  }
  Owned<OrtSession> session(opened, api.ReleaseSession);
  const SignatureCheck check(runtime, session.get(), file);
  check.run(inputs_of(api), inputs);
  check.run({"output", api.SessionGetOutputCount, api.SessionGetOutputName, api.SessionGetOutputTypeInfo},
            outputs);
  return session;
}

void check_read_on_device(const Runtime& runtime, const OrtSession& session, const std::string& file,
                          std::span<const Tensor> tensors) {
  const OrtApi& api = runtime.api();
  const auto check = [&](OrtStatus* status) { runtime.library().check(status, file); };
  const auto device_of = [&api](const OrtMemoryInfo* memory) {
    OrtDeviceType device = kCpu;
    api.MemoryInfoGetDeviceType(memory, &device);
    return device;
  };
  const Side side = inputs_of(api);
  std::size_t count = 0;
  check(side.count(&session, &count));
  std::vector<const OrtMemoryInfo*> memories(count);
  check(api.SessionGetMemoryInfoForInputs(&session, memories.data(), count));
  const OrtDeviceType wanted = device_of(runtime.memory(Place::device));
  std::string elsewhere;
  for (std::size_t i = 0; i < count; ++i) {
    const std::string name = name_of(runtime, &session, side, i, file);
    if (std::ranges::find(tensors, name, &Tensor::name) == tensors.end()) continue;
    if (device_of(memories[i]) == wanted) continue;
    elsewhere = name;
  }
  if (elsewhere.empty()) return;
  throw UnsupportedError(file + ": ONNX Runtime " + runtime.library().version() + " reads '" + elsewhere +
                         "' in host memory, not on provider '" + std::string(runtime.provider().option) +
                         "': it lacks an operator there; install a newer one, or use provider 'cpu'");
}

}  // namespace mtp_rt::onnxruntime
