// Damages an ONNX graph in memory, over and over: the reader accepts or refuses, and every weight that it
// accepts is a whole tensor of the model. Run under ASan and UBSan; exit status 1 on a broken promise.
//
//     onnx_mutations [EXECUTIONS] [SEED]
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <memory>
#include <numeric>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "io/onnx_file.h"
#include "mtp_rt/error.h"
#include "mtp_rt/model_dir.h"

namespace {

using namespace mtp_rt;

constexpr const char* kFile = "verify.onnx";

void demand(bool promise, const char* what) {
  if (!promise) throw std::logic_error(what);
}

std::string varint(std::uint64_t value) {
  std::string text;
  for (; value >= 0x80U; value >>= 7) text += static_cast<char>(value | 0x80U);
  return text + static_cast<char>(value);
}

std::string number_field(std::uint64_t number, std::uint64_t value) {
  return varint(number << 3U) + varint(value);
}

std::string bytes_field(std::uint64_t number, std::string_view bytes) {
  return varint(number << 3U | 2U) + varint(bytes.size()) + std::string(bytes);
}

/// A TensorProto of bytes that points to a stored tensor.
std::string tensor_proto(const std::string& name, std::uint64_t offset, std::uint64_t length) {
  const auto entry = [](std::string_view key, std::string_view value) {
    return bytes_field(13, bytes_field(1, key) + bytes_field(2, value));
  };
  return number_field(1, length) + number_field(2, 2) + bytes_field(8, name) +
         entry("location", "model.safetensors") + entry("offset", std::to_string(offset)) +
         entry("length", std::to_string(length)) + number_field(14, 1);
}

/// A graph that points to every tensor of the model, and a node with a small constant.
std::string good_graph(const ModelDir& model) {
  const std::string constant = number_field(1, 2) + number_field(2, 7) + bytes_field(9, std::string(16, 1));
  std::string graph = bytes_field(1, bytes_field(4, "Constant") + bytes_field(5, bytes_field(5, constant)));
  for (const std::string& name : model.tensor_names()) {
    const TensorView view = model.tensor(name);
    graph += bytes_field(5, tensor_proto(name, model.offset_of(view), view.bytes.size()));
  }
  return number_field(1, 11) + bytes_field(7, graph) + bytes_field(8, number_field(2, 24));
}

/// Random changes to bytes: flipped, cut out, written twice, replaced by what means much to the format.
class Mutator {
 public:
  explicit Mutator(std::uint64_t seed) : random_(seed) {}

  std::string mutate(std::string bytes) {
    for (std::size_t changes = 1 + below(3); changes > 0; --changes) change(bytes);
    return bytes;
  }

 private:
  static constexpr std::array<std::string_view, 8> kPieces = {"\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01",
                                                              "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80",
                                                              "\x80",
                                                              "\x0A",
                                                              "\x3A",
                                                              "\x2A\x7F",
                                                              "18446744073709551615",
                                                              "../model.safetensors"};

  std::size_t below(std::size_t limit) {
    return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random_);
  }

  void change(std::string& bytes) {
    if (bytes.empty()) return;
    const std::size_t at = below(bytes.size());
    const std::size_t length = std::min<std::size_t>(1 + below(40), bytes.size() - at);
    switch (below(5)) {
      case 0:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8)));
        break;
      case 1:
        bytes.erase(at, length);
        break;
      case 2:
        bytes.insert(at, bytes.substr(at, length));
        break;
      case 3:
        bytes.resize(at);
        break;
      default:
        bytes.replace(at, std::min<std::size_t>(length, 4), kPieces[below(kPieces.size())]);
    }
  }

  std::mt19937_64 random_;
};

/// Reads the graph from memory of its own size; every byte of every accepted weight is touched.
void read(const ModelDir& model, const std::string& graph) {
  const std::vector<char> exact(graph.begin(), graph.end());
  for (const io::GraphWeight& weight : io::graph_weights(model, std::as_bytes(std::span(exact)), kFile)) {
    const TensorView stored = model.tensor(weight.stored);
    demand(weight.bytes.data() == stored.bytes.data() && weight.bytes.size() == stored.bytes.size(),
           "a weight is no whole tensor");
    volatile unsigned sink =
        std::accumulate(weight.bytes.begin(), weight.bytes.end(), 0U,
                        [](unsigned sum, std::byte b) { return sum + std::to_integer<unsigned>(b); });
    static_cast<void>(sink);
  }
}

int run(std::size_t executions, std::uint64_t seed) {
  const std::shared_ptr<const ModelDir> opened = ModelDir::open(MTP_RT_TINY_MODEL);
  const ModelDir& model = *opened;
  const std::string good = good_graph(model);
  read(model, good);
  Mutator mutator(seed);
  std::size_t accepted = 0;
  std::size_t refused = 0;
  for (std::size_t i = 0; i < executions; ++i) {
    try {
      read(model, mutator.mutate(good));
      ++accepted;
    } catch (const ModelFormatError& error) {
      demand(error.file() == kFile, "an error names another file");
      ++refused;
    }
  }
  std::cout << "seed " << seed << ": " << accepted << " accepted, " << refused << " refused\n";
  demand(accepted > 0 && refused > 0, "the mutations test nothing");
  return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc > 1 ? std::stoul(argv[1]) : 10000, argc > 2 ? std::stoull(argv[2]) : 1);
  } catch (const std::exception& error) {
    std::cerr << "onnx_mutations: " << error.what() << "\n";
    return EXIT_FAILURE;
  }
}
