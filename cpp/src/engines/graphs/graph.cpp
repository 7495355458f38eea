#include "engines/graphs/graph.h"

namespace mtp_rt::graphs {

std::size_t number_size(NumberType type) noexcept {
  switch (type) {
    case NumberType::f32:
      return sizeof(float);
    case NumberType::i64:
      return sizeof(std::int64_t);
    case NumberType::boolean:
      break;
  }
  return 1;
}

std::vector<std::int64_t> shape_in_call(const Tensor& tensor, int width, int rows, int places) {
  std::vector<std::int64_t> shape = tensor.shape;
  for (std::int64_t& size : shape) {
    if (size == kBatch) size = 1;
    if (size == kWidth) size = width;
    if (size == kRows) size = rows;
    if (size == kPlaces) size = places;
  }
  return shape;
}

std::string cache_name(const GraphCaches& caches, const char* time, int layer, bool values) {
  return caches.prefix + time + "." + std::to_string(layer) + (values ? ".value" : ".key");
}

}  // namespace mtp_rt::graphs
