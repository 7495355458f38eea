#include "engines/onnxruntime/row_mover_graph.h"

#include <cstdint>
#include <initializer_list>
#include <string_view>

namespace mtp_rt::onnxruntime {
namespace {

// Field numbers are those of onnx.proto; a field's key is its number times 8 plus what follows it.
std::string number(std::uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>((value & 0x7F) | 0x80);
  return bytes + static_cast<char>(value);
}

std::string field(unsigned id, std::uint64_t value) { return number(id * 8) + number(value); }

std::string field(unsigned id, std::string_view content) {
  return (number(id * 8 + 2) + number(content.size())).append(content);
}

std::string node(std::string_view type, std::initializer_list<std::string_view> inputs,
                 std::string_view output, std::string_view attribute) {
  std::string content;
  for (const std::string_view input : inputs) content += field(1, input);
  content += field(2, output) + field(4, type);
  if (!attribute.empty()) content += field(5, attribute);
  return field(1, content);
}

std::string integer(std::string_view name, std::uint64_t value) {
  constexpr std::uint64_t kInteger = 2;
  return field(1, name) + field(3, value) + field(20, kInteger);
}

constexpr std::uint64_t kFloat32 = 1;
constexpr std::uint64_t kInt64 = 7;

std::string value(std::string_view name, std::uint64_t type, std::initializer_list<std::string_view> shape) {
  std::string dimensions;
  for (const std::string_view size : shape) dimensions += field(1, field(2, size));
  const std::string tensor = field(1, type) + field(2, dimensions);
  return field(1, name) + field(2, field(1, tensor));
}

}  // namespace

std::string row_mover_graph() {
  constexpr std::uint64_t kFileFormat = 10;
  constexpr std::uint64_t kOperators = 24;
  std::string graph = node("Gather", {"from", "places"}, "rows", integer("axis", 2));
  graph += node("TensorScatter", {"to", "rows", "base"}, "moved", "");
  graph += field(2, "row_mover");
  graph += field(11, value("from", kFloat32, {"one", "heads", "places_from", "size"}));
  graph += field(11, value("places", kInt64, {"n"}));
  graph += field(11, value("to", kFloat32, {"one", "heads", "places_to", "size"}));
  graph += field(11, value("base", kInt64, {"one"}));
  graph += field(12, value("moved", kFloat32, {"one", "heads", "places_to", "size"}));
  return field(1, kFileFormat) + field(7, graph) + field(8, field(2, kOperators));
}

}  // namespace mtp_rt::onnxruntime
