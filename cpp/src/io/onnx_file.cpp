#include "io/onnx_file.h"

#include <charconv>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

#include "io/checked.h"
#include "io/json_fields.h"
#include "io/mapped_file.h"
#include "io/protobuf.h"
#include "mtp_rt/error.h"

namespace mtp_rt::io {
namespace {

constexpr std::size_t kMaxGraph = 256U << 20;
constexpr const char* kWeights = "model.safetensors";
constexpr std::uint64_t kExternal = 1;  // TensorProto.DataLocation

// Fields of onnx.proto, by message.
namespace model_field {
constexpr std::uint32_t graph = 7, training_info = 20, functions = 25;
}
namespace graph_field {
constexpr std::uint32_t node = 1, initializer = 5, sparse_initializer = 15;
}
namespace node_field {
constexpr std::uint32_t attribute = 5;
}
namespace attribute_field {
constexpr std::uint32_t tensor = 5, graph = 6, tensors = 10, graphs = 11, sparse_tensor = 22,
                        sparse_tensors = 23;
}
namespace tensor_field {
constexpr std::uint32_t dims = 1, data_type = 2, name = 8, external_data = 13, data_location = 14;
}
namespace entry_field {
constexpr std::uint32_t key = 1, value = 2;
}

// Bytes of an element of a TensorProto.DataType, where weights can have it.
std::optional<std::int64_t> element_bytes(std::int32_t type) {
  switch (type) {
    case 2:  // UINT8
    case 3:  // INT8
      return 1;
    case 10:  // FLOAT16
    case 16:  // BFLOAT16
      return 2;
    case 1:  // FLOAT
    case 6:  // INT32
      return 4;
    default:
      return std::nullopt;
  }
}

// A TensorProto as far as it says where its data lie.
struct Tensor {
  std::string name;
  std::int32_t type = 0;
  std::vector<std::int64_t> shape;
  bool external = false;
  std::map<std::string, std::string, std::less<>> places;
};

class Reader {
 public:
  Reader(const ModelDir& model, const std::string& file) : file_(file) {
    for (const std::string& name : model.tensor_names()) {
      const TensorView view = model.tensor(name);
      stored_.emplace(model.offset_of(view), std::pair(name, view.bytes));
    }
  }

  std::vector<GraphWeight> read(std::span<const std::byte> bytes) {
    ProtoMessage message(bytes, file_);
    for (ProtoField field; message.next(field);) {
      if (field.is(model_field::functions) || field.is(model_field::training_info))
        refuse("", "has functions or training steps, which exported graphs do not");
      if (field.is(model_field::graph)) read_graph(field.bytes);
    }
    return std::move(weights_);
  }

 private:
  void read_graph(std::span<const std::byte> bytes) {
    ProtoMessage message(bytes, file_);
    for (ProtoField field; message.next(field);) {
      if (field.is(graph_field::sparse_initializer))
        refuse("", "has sparse tensors, which exported graphs do not");
      if (field.is(graph_field::node)) check_node(field.bytes);
      if (!field.is(graph_field::initializer)) continue;
      const Tensor tensor = read_tensor(field.bytes);
      if (tensor.external) weights_.push_back(pointed_to(tensor));
    }
  }

  void check_node(std::span<const std::byte> bytes) const {
    ProtoMessage message(bytes, file_);
    for (ProtoField field; message.next(field);) {
      if (field.is(node_field::attribute)) check_attribute(field.bytes);
    }
  }

  void check_attribute(std::span<const std::byte> bytes) const {
    using namespace attribute_field;
    ProtoMessage message(bytes, file_);
    for (ProtoField field; message.next(field);) {
      if (field.is(graph) || field.is(graphs) || field.is(sparse_tensor) || field.is(sparse_tensors)) {
        refuse("", "has graphs or sparse tensors inside nodes, which exported graphs do not");
      }
      if (!field.is(tensor) && !field.is(tensors)) continue;
      const Tensor held = read_tensor(field.bytes);
      if (held.external) refuse(held.name, "lies outside the graph, though it is no weight");
    }
  }

  [[nodiscard]] Tensor read_tensor(std::span<const std::byte> bytes) const {
    Tensor tensor;
    ProtoMessage message(bytes, file_);
    for (ProtoField field; message.next(field);) {
      if (field.number == tensor_field::dims) read_dims(field, tensor.shape);
      if (field.is(tensor_field::data_type, ProtoType::number))
        tensor.type = static_cast<std::int32_t>(field.value);
      if (field.is(tensor_field::name)) tensor.name = field.text();
      if (field.is(tensor_field::external_data)) read_place(field.bytes, tensor);
      if (field.is(tensor_field::data_location, ProtoType::number))
        tensor.external = field.value == kExternal;
    }
    if (!tensor.external && !tensor.places.empty()) refuse(tensor.name, "says both here and elsewhere");
    return tensor;
  }

  void read_dims(const ProtoField& field, std::vector<std::int64_t>& shape) const {
    if (field.type == ProtoType::number) shape.push_back(static_cast<std::int64_t>(field.value));
    if (field.type != ProtoType::bytes) return;
    for (ProtoMessage list(field.bytes, file_); !list.at_end();)
      shape.push_back(static_cast<std::int64_t>(list.number()));
  }

  void read_place(std::span<const std::byte> bytes, Tensor& tensor) const {
    std::string key;
    std::string value;
    ProtoMessage message(bytes, file_);
    for (ProtoField field; message.next(field);) {
      if (field.is(entry_field::key)) key = field.text();
      if (field.is(entry_field::value)) value = field.text();
    }
    if (!tensor.places.emplace(key, value).second) refuse(tensor.name, "has external data twice: " + key);
  }

  [[nodiscard]] GraphWeight pointed_to(const Tensor& tensor) {
    if (tensor.name.empty() || tensor.name.find('\0') != std::string::npos)
      refuse(tensor.name, "is no name of a weight");
    const auto location = tensor.places.find("location");
    if (location == tensor.places.end() || location->second != kWeights) {
      const std::string found = location == tensor.places.end() ? "nowhere" : printable(location->second);
      refuse(tensor.name, "lies in '" + found + "'; the only legal place is " + kWeights);
    }
    const auto stored = stored_.find(place(tensor, "offset"));
    if (stored == stored_.end() || stored->second.second.size() != place(tensor, "length")) {
      refuse(tensor.name, std::string("points to no tensor of ") + kWeights +
                              ": the graph was made for other weights; export again");
    }
    const auto& [name, bytes] = stored->second;
    const auto size = element_bytes(tensor.type);
    const auto elements = checked_product(tensor.shape);
    if (!size || !elements || checked_multiply(*elements, static_cast<std::uint64_t>(*size)) != bytes.size())
      refuse(tensor.name, "has a type or shape that does not fit the bytes of " + name);
    if (!names_.insert(tensor.name).second) refuse(tensor.name, "is there twice");
    return {tensor.name, name, tensor.type, tensor.shape, bytes};
  }

  // A number of a tensor's external data.
  [[nodiscard]] std::uint64_t place(const Tensor& tensor, std::string_view key) const {
    const auto found = tensor.places.find(key);
    if (found == tensor.places.end()) refuse(tensor.name, "has no " + std::string(key));
    const std::string& text = found->second;
    const char* end = std::to_address(text.end());
    std::uint64_t value = 0;
    const auto [at, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc() || at != end) {
      refuse(tensor.name, std::string(key) + " is '" + printable(text) + "'; expected a number of bytes");
    }
    return value;
  }

  [[noreturn]] void refuse(const std::string& tensor, const std::string& problem) const {
    throw ModelFormatError(file_, printable(tensor), problem);
  }

  const std::string& file_;
  std::map<std::uint64_t, std::pair<std::string, std::span<const std::byte>>> stored_;  // by offset
  std::set<std::string> names_;
  std::vector<GraphWeight> weights_;
};

}  // namespace

std::vector<GraphWeight> graph_weights(const ModelDir& model, std::span<const std::byte> bytes,
                                       const std::string& file) {
  return Reader(model, file).read(bytes);
}

OnnxFile read_onnx_file(const ModelDir& model, const std::string& file) {
  const std::filesystem::path path = model.path() / file;
  std::error_code error;
  if (!std::filesystem::exists(path, error))
    throw ModelFormatError(file, "", "is missing; write it with mtp-rt export --onnx");
  OnnxFile graph{read_text(path, file, kMaxGraph), {}};
  graph.weights = graph_weights(model, std::as_bytes(std::span(graph.bytes)), file);
  return graph;
}

}  // namespace mtp_rt::io
