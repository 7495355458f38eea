#include "mtp_rt/model_dir.h"

#include <system_error>
#include <utility>

#include "io/mapped_file.h"
#include "io/model_layout.h"
#include "io/safetensors.h"
#include "mtp_rt/error.h"

namespace mtp_rt {
namespace {

constexpr const char* kConfig = "config.json";
constexpr const char* kWeights = "model.safetensors";
constexpr std::size_t kMaxConfig = 1U << 20;

class MappedModelDir final : public ModelDir {
 public:
  MappedModelDir(std::filesystem::path path, ModelConfig config)
      : path_(std::move(path)),
        config_(std::move(config)),
        file_(path_ / kWeights, kWeights),
        table_(io::parse_safetensors(file_.bytes(), kWeights)) {
    io::check_layout(table_, file_.bytes(), io::layout_of(config_), kWeights);
    if (config_.two_stage_margin && !has_tensor(std::string(io::output_matrix(config_)) + ".q8")) {
      throw ModelFormatError(kConfig, "mtp_rt.two_stage_head",
                             std::string("needs a q8 output matrix, and ") + io::output_matrix(config_) +
                                 " is stored otherwise; set it to null");
    }
    file_.forget(
        file_.bytes());  // what the checks have read; an engine reads each tensor once more, in its order
  }

  [[nodiscard]] const std::filesystem::path& path() const noexcept override { return path_; }
  [[nodiscard]] const ModelConfig& config() const noexcept override { return config_; }

  [[nodiscard]] std::vector<std::string> tensor_names() const override {
    std::vector<std::string> names;
    for (const auto& entry : table_) names.push_back(entry.first);
    return names;
  }

  [[nodiscard]] bool has_tensor(std::string_view name) const noexcept override {
    return table_.contains(name);
  }

  [[nodiscard]] TensorView tensor(std::string_view name) const override {
    const auto found = table_.find(name);
    if (found == table_.end()) throw ModelFormatError(kWeights, std::string(name), "is missing");
    return io::view_of(found->second, file_.bytes());
  }

  [[nodiscard]] WeightView weight(std::string_view name, std::int64_t rows,
                                  std::int64_t cols) const override {
    return io::find_matrix(table_, file_.bytes(), {std::string(name), rows, cols}, kWeights);
  }

  [[nodiscard]] std::size_t offset_of(const TensorView& tensor) const noexcept override {
    return static_cast<std::size_t>(tensor.bytes.data() - file_.bytes().data());
  }

  [[nodiscard]] std::size_t file_bytes() const noexcept override { return file_.bytes().size(); }

  void forget(const TensorView& tensor) const noexcept override { file_.forget(tensor.bytes); }

 private:
  std::filesystem::path path_;
  ModelConfig config_;
  io::MappedFile file_;
  io::TensorTable table_;
};

}  // namespace

std::shared_ptr<const ModelDir> ModelDir::open(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::is_directory(path, error)) {
    throw ModelFormatError(path.string(), "",
                           "is not a directory; a model is a directory with config.json and "
                           "model.safetensors (docs/model_dir.md)");
  }
  const std::string text = io::read_text(path / kConfig, kConfig, kMaxConfig);
  return std::make_shared<const MappedModelDir>(path, parse_model_config(text, kConfig));
}

}  // namespace mtp_rt
