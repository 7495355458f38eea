// Damages a config.json and a safetensors file in memory, over and over: the readers accept or refuse, and
// whatever they accept lies inside the file. Run under ASan and UBSan; exit status 1 on a broken promise.
//
//     io_mutations [EXECUTIONS] [SEED]
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <numeric>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "io/model_layout.h"
#include "io/safetensors.h"
#include "mtp_rt/error.h"
#include "mtp_rt/model_config.h"

namespace {

using namespace mtp_rt;

constexpr std::string_view kConfig = R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama",
"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 1, "num_attention_heads": 2,
"num_key_value_heads": 1, "head_dim": 32, "vocab_size": 34, "max_position_embeddings": 128,
"rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": false, "bos_token_id": 0,
"eos_token_id": [1, 33], "mtp_rt": {"format_version": 1, "rope_layout": "half", "two_stage_head":
{"margin": 8.0}, "quantization": {"layers": "q4"}, "source": {"name": "nothing"}}})";

void demand(bool promise, const char* what) {
  if (!promise) throw std::logic_error(what);
}

/// Random changes to text, some of them at its numbers.
class Mutator {
 public:
  explicit Mutator(std::uint64_t seed) : random_(seed) {}

  std::string mutate(std::string text) {
    for (std::size_t changes = 1 + below(3); changes > 0; --changes) change(text);
    return text;
  }

  std::size_t below(std::size_t limit) {
    return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random_);
  }

 private:
  static constexpr std::array<std::string_view, 24> kPieces = {"{",
                                                               "}",
                                                               "[",
                                                               "]",
                                                               ",",
                                                               ":",
                                                               "\"",
                                                               "\\",
                                                               "\\u0000",
                                                               "\\ud800",
                                                               "null",
                                                               "true",
                                                               "-1",
                                                               "0",
                                                               "1e999",
                                                               "NaN",
                                                               "4294967296",
                                                               "9223372036854775807",
                                                               "18446744073709551615",
                                                               "18446744073709551616",
                                                               "2147483648",
                                                               "[[[[[[[[",
                                                               "{\"a\":{\"a\":{\"a\":",
                                                               "\xC0\xAF"};

  void change(std::string& text) {
    if (text.empty()) return;
    const std::size_t at = below(text.size());
    const std::size_t length = std::min<std::size_t>(1 + below(12), text.size() - at);
    switch (below(6)) {
      case 0:
        text[at] = static_cast<char>(text[at] ^ (1 << below(8)));
        break;
      case 1:
        text.erase(at, length);
        break;
      case 2:
        text.insert(at, text.substr(below(text.size()), length));
        break;
      case 3:
        text.insert(at, kPieces[below(kPieces.size())]);
        break;
      case 4:
        text.replace(at, length, kPieces[below(kPieces.size())]);
        break;
      default:
        change_number(text, at);
    }
  }

  /// Replaces the first number at or behind `from`.
  void change_number(std::string& text, std::size_t from) {
    static constexpr std::string_view kDigits = "0123456789";
    const std::size_t begin = text.find_first_of(kDigits, from);
    if (begin == std::string::npos) return;
    const std::size_t end = std::min(text.find_first_not_of(kDigits, begin), text.size());
    const std::uint64_t old = std::strtoull(text.substr(begin, end - begin).c_str(), nullptr, 10);
    const std::array<std::uint64_t, 8> news = {
        old + 1, old - 1, old * 2, old + 32, 0, old << 32U, old | (1ULL << 63U), 64};
    text.replace(begin, end - begin, std::to_string(news[below(news.size())]));
  }

  std::mt19937_64 random_;
};

struct GoodFile {
  std::string header;
  std::size_t data_bytes = 0;

  void add(const std::string& name, const char* dtype, const std::string& shape, std::size_t bytes) {
    header += std::string(header.empty() ? "{" : ",") + "\"" + name + "\":{\"dtype\":\"" + dtype +
              "\",\"shape\":" + shape + ",\"data_offsets\":[" + std::to_string(data_bytes) + "," +
              std::to_string(data_bytes + bytes) + "]}";
    data_bytes += bytes;
  }
};

/// Every weight of `config`, matrices as q4, the output matrix as q8; all sizes are multiples of 4 bytes.
GoodFile good_file(const ModelConfig& config) {
  const auto shape = [](std::int64_t rows, std::int64_t cols) {
    return "[" + std::to_string(rows) + "," + std::to_string(cols) + "]";
  };
  const io::ModelLayout layout = io::layout_of(config);
  GoodFile file;
  for (const io::VectorSpec& vector : layout.vectors) {
    file.add(vector.name, "F32", "[" + std::to_string(vector.size) + "]",
             4 * static_cast<std::size_t>(vector.size));
  }
  for (const io::MatrixSpec& matrix : layout.matrices) {
    const auto elements = static_cast<std::size_t>(matrix.rows * matrix.cols);
    const std::string blocks = shape(matrix.rows, matrix.cols / 32);
    file.add(matrix.name + ".scale", "F16", blocks, elements / 16);
    if (matrix.name == io::output_matrix(config)) {
      file.add(matrix.name + ".q8", "I8", shape(matrix.rows, matrix.cols), elements);
    } else {
      file.add(matrix.name + ".min", "F16", blocks, elements / 16);
      file.add(matrix.name + ".q4", "U8", shape(matrix.rows, matrix.cols / 2), elements / 2);
    }
  }
  file.header += '}';
  file.header.append((8 - file.header.size() % 8) % 8, ' ');
  return file;
}

std::vector<std::byte> assemble(const std::string& header, std::uint64_t claimed, std::size_t data_bytes) {
  std::vector<std::byte> file;
  file.reserve(8 + header.size() + data_bytes);
  for (unsigned shift = 0; shift < 64; shift += 8) file.push_back(static_cast<std::byte>(claimed >> shift));
  for (const char c : header) file.push_back(static_cast<std::byte>(c));
  file.resize(file.size() + data_bytes, std::byte{0x11});
  return file;
}

/// Reads `file` as the weights of `config`. Every byte of every accepted tensor is touched.
void read_weights(const std::vector<std::byte>& file, const io::ModelLayout& layout) {
  const io::TensorTable table = io::parse_safetensors(file, "model.safetensors");
  std::size_t owned = 0;
  for (const auto& [name, tensor] : table) {
    demand(tensor.begin <= tensor.end && tensor.end <= file.size(), "a tensor leaves the file");
    demand(tensor.begin % io::element_size(tensor.dtype) == 0, "a tensor is not aligned");
    const TensorView view = io::view_of(tensor, file);
    owned += view.bytes.size();
    volatile unsigned sink =
        std::accumulate(view.bytes.begin(), view.bytes.end(), 0U,
                        [](unsigned sum, std::byte b) { return sum + std::to_integer<unsigned>(b); });
    static_cast<void>(sink);
  }
  demand(owned < file.size(), "tensors overlap");
  io::check_layout(table, file, layout, "model.safetensors");
}

struct Counts {
  std::size_t accepted = 0;
  std::size_t refused = 0;
};

/// Runs `read`; only the library's own errors count as a refusal.
template <typename Read>
void count(Counts& counts, const Read& read) {
  try {
    read();
    ++counts.accepted;
  } catch (const ModelFormatError& error) {
    demand(!error.file().empty(), "an error names no file");
    ++counts.refused;
  } catch (const UnsupportedError&) {
    ++counts.refused;
  }
}

int run(std::size_t executions, std::uint64_t seed) {
  const ModelConfig config = parse_model_config(kConfig, "config.json");
  const io::ModelLayout layout = io::layout_of(config);
  const GoodFile good = good_file(config);
  read_weights(assemble(good.header, good.header.size(), good.data_bytes), layout);
  Mutator mutator(seed);
  Counts configs;
  Counts headers;
  Counts cuts;
  for (std::size_t i = 0; i < executions; ++i) {
    const std::string text = mutator.mutate(std::string(kConfig));
    count(configs, [&] { static_cast<void>(io::layout_of(parse_model_config(text, "config.json"))); });
    const std::string header = mutator.mutate(good.header);
    count(headers, [&] { read_weights(assemble(header, header.size(), good.data_bytes), layout); });
    const std::uint64_t claimed = good.header.size() ^ (1ULL << mutator.below(64));
    std::vector<std::byte> file =
        assemble(good.header, mutator.below(2) == 0 ? claimed : good.header.size(), good.data_bytes);
    file.resize(mutator.below(file.size()));
    file.shrink_to_fit();
    count(cuts, [&] { read_weights(file, layout); });
  }
  std::cout << "seed " << seed << ": configs " << configs.accepted << " accepted, " << configs.refused
            << " refused; headers " << headers.accepted << ", " << headers.refused << "; cut files "
            << cuts.accepted << ", " << cuts.refused << "\n";
  demand(configs.accepted > 0 && configs.refused > 0, "the mutations of config.json test nothing");
  demand(headers.accepted > 0 && headers.refused > 0, "the mutations of the header test nothing");
  demand(cuts.accepted == 0, "a cut file was accepted");
  return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc > 1 ? std::stoul(argv[1]) : 7000, argc > 2 ? std::stoull(argv[2]) : 1);
  } catch (const std::exception& error) {
    std::cerr << "io_mutations: " << error.what() << "\n";
    return EXIT_FAILURE;
  }
}
