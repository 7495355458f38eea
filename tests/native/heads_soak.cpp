// Extra heads under the sanitizers: drafts on every thread count against those of one thread, and requests
// that draft with heads against the same requests without.
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "io/model_layout.h"
#include "mtp_rt/mtp_rt.h"

namespace {

using namespace mtp_rt;
namespace fs = std::filesystem;

constexpr const char* kRecurrent =
    R"("heads": {"count": 3, "wiring": "sequential", "body": "residual", "shared": true,
    "intermediate_size": 64, "draft_vocab_size": 96, "output_norm": true}, )";
constexpr const char* kAttending =
    R"("heads": {"count": 3, "wiring": "sequential", "body": "block", "intermediate_size": 64, "taps": [0, 1]}, )";

void demand(bool holds, const std::string& what) {
  if (!holds) throw std::runtime_error(what);
}

std::string read(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

/// Tensors behind those of a safetensors file.
class Appended {
 public:
  explicit Appended(const std::string& file) {
    std::uint64_t length = 0;
    std::memcpy(&length, file.data(), sizeof length);
    header_ = file.substr(8, length);
    header_.resize(header_.find_last_of('}'));
    data_ = file.substr(8 + length);
  }

  template <typename Value>
  void add(const std::string& name, const char* dtype, const std::string& shape,
           const std::vector<Value>& values) {
    const std::size_t begin = data_.size();
    data_.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(Value));
    header_ += ",\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":[" + shape + "],\"data_offsets\":[" +
               std::to_string(begin) + "," + std::to_string(data_.size()) + "]}";
  }

  [[nodiscard]] std::string file() const {
    std::string text = header_ + "}";
    text.append((64 - (text.size() + 8) % 64) % 64, ' ');
    std::string length(8, '\0');
    const std::uint64_t size = text.size();
    std::memcpy(length.data(), &size, sizeof size);
    return length + text + data_;
  }

 private:
  std::string header_;
  std::string data_;
};

std::vector<float> random_floats(std::mt19937& random, std::int64_t n, float mean, float spread) {
  std::normal_distribution<float> normal(mean, spread);
  std::vector<float> values(static_cast<std::size_t>(n));
  for (float& value : values) value = normal(random);
  return values;
}

/// Writes the model `base` with random heads to `target`.
void write_with_heads(const fs::path& base, const std::string& heads, const fs::path& target,
                      std::uint32_t seed) {
  std::string config = read(base / "config.json");
  const std::string own = "\"format_version\"";
  config.insert(config.find(own), heads);
  fs::create_directories(target);
  std::ofstream(target / "config.json", std::ios::binary) << config;
  const io::ModelLayout layout = io::layout_of(parse_model_config(config, "config.json"));
  Appended tensors(read(base / "model.safetensors"));
  std::mt19937 random(seed);
  for (const io::VectorSpec& v : layout.vectors) {
    if (v.name.starts_with("heads."))
      tensors.add(v.name, "F32", std::to_string(v.size), random_floats(random, v.size, 1.0F, 0.1F));
  }
  for (const io::MatrixSpec& m : layout.matrices) {
    if (!m.name.starts_with("heads.")) continue;
    tensors.add(m.name, "F32", std::to_string(m.rows) + "," + std::to_string(m.cols),
                random_floats(random, m.rows * m.cols, 0.0F, 0.1F));
  }
  for (const io::IdsSpec& ids : layout.ids) {
    std::vector<std::int32_t> tokens(static_cast<std::size_t>(ids.size));
    for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<std::int32_t>(3 * i + 1);
    tensors.add(ids.name, "I32", std::to_string(ids.size), tokens);
  }
  std::ofstream(target / "model.safetensors", std::ios::binary) << tensors.file();
}

/// Tokens and chances of drafts on the way through 80 positions of two slots, in calls of different widths.
std::pair<std::vector<Token>, std::vector<float>> draft_along(const fs::path& model, int threads,
                                                              std::uint32_t seed) {
  EngineOptions options;
  options.threads = threads;
  options.slots = 2;
  const std::unique_ptr<Engine> engine = open_engine(ModelDir::open(model), options);
  const SamplingParams greedy;
  SamplingParams warm;
  warm.temperature = 0.8F;
  std::pair<std::vector<Token>, std::vector<float>> all;
  std::mt19937 random(seed);
  while (engine->length(1) < 80) {
    const std::int32_t n = 1 + static_cast<std::int32_t>(random() % 5);
    for (const Slot slot : {0, 1}) {
      std::vector<VerifyRow> rows;
      std::vector<std::int32_t> kept;
      for (std::int32_t i = 0; i < n; ++i) {
        rows.push_back(
            {slot, static_cast<Token>(random() % 512), engine->length(slot) + i, i - 1, false, false});
        kept.push_back(i);
      }
      engine->verify(rows, {});
      const KeptRows keep{slot, kept};
      engine->commit({&keep, 1});
    }
    const std::vector<DraftRow> wanted = {{0, 5, 1 + n % 3, 2, &greedy}, {1, 9, 3, 1, &warm}};
    const auto size = static_cast<std::size_t>(2 * (1 + n % 3) + 3);
    std::vector<Token> tokens(size);
    std::vector<float> chances(size);
    engine->draft(wanted, {tokens, chances});
    all.first.insert(all.first.end(), tokens.begin(), tokens.end());
    all.second.insert(all.second.end(), chances.begin(), chances.end());
  }
  return all;
}

std::vector<std::vector<Token>> texts(const fs::path& model, const std::string& source, int slots) {
  EngineOptions options;
  options.threads = 2;
  options.slots = slots;
  Scheduler scheduler(open_engine(ModelDir::open(model), options), {.prefill_chunk = 16, .verify_ms = {}});
  std::map<RequestId, std::vector<Token>> found;
  for (std::uint32_t i = 0; i < 6; ++i) {
    Request request;
    for (std::uint32_t k = 0; k < 20 + 9 * i; ++k) {
      request.prompt.push_back(static_cast<Token>((31 * k + i) % 500 + 3));
    }
    request.max_tokens = 30;
    request.params.temperature = i % 2 == 0 ? 0.0F : 0.9F;
    request.params.seed = i;
    request.drafts.source = source;
    request.drafts.max_drafts = 3;
    request.drafts.adaptive = false;
    found[scheduler.submit(request)] = {};
  }
  while (scheduler.running() + scheduler.waiting() > 0) {
    for (const Event& event : scheduler.run_once()) {
      demand(!event.error, "request failed: " + event.error.value_or(""));
      std::vector<Token>& text = found.at(event.request);
      text.insert(text.end(), event.commit.tokens.begin(), event.commit.tokens.end());
    }
  }
  std::vector<std::vector<Token>> all;
  for (auto& [id, text] : found) all.push_back(std::move(text));
  return all;
}

void check(const fs::path& base, const std::string& heads, const fs::path& target) {
  write_with_heads(base, heads, target, 7);
  const auto alone = draft_along(target, 1, 3);
  for (const int threads : {2, 3}) {
    const auto together = draft_along(target, threads, 3);
    demand(alone.first == together.first && alone.second == together.second,
           "drafts differ with " + std::to_string(threads) + " threads");
  }
  demand(texts(target, "heads", 3) == texts(target, "none", 1), "drafts of the heads changed a text");
  std::cout << target.filename().string() << ": " << alone.first.size() << " drafts and 6 texts agree\n";
}

}  // namespace

int main(int argc, char** argv) {
  const fs::path folder = fs::temp_directory_path() / ("heads_soak." + std::to_string(::getpid()));
  int status = EXIT_SUCCESS;
  try {
    const fs::path base = argc > 1 ? argv[1] : MTP_RT_TINY_MODEL;
    check(base, kRecurrent, folder / "recurrent");
    check(base, kAttending, folder / "attending");
  } catch (const std::exception& error) {
    std::cerr << "heads_soak: " << error.what() << "\n";
    status = EXIT_FAILURE;
  }
  fs::remove_all(folder);
  return status;
}
