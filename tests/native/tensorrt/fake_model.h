// A model of whole numbers: plans of the fake TensorRT compute it from caches and states, a plain loop from
// the text.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "fake_tensorrt.h"
#include "tensorrt_stubs.h"

namespace mtp_rt::testing {

inline constexpr std::int32_t kModelVocab = 14;
inline constexpr std::int32_t kModelHidden = 4;
inline constexpr std::int32_t kModelMatrices = 2;
inline constexpr std::int32_t kModelHeads = 2;
inline constexpr std::int32_t kModelDim = 8;
inline constexpr std::int32_t kModelPlaces = 48;
inline constexpr std::int32_t kModelContext = 40;
inline constexpr std::int32_t kModelRows = 8;   ///< Of a sequence in a call, at most.
inline constexpr std::int32_t kModelBatch = 3;  ///< Sequences of a call, at most.

inline constexpr std::int32_t kBrokenToken = 12;  ///< A score behind it is NaN.
inline constexpr std::int32_t kSilentToken = 13;  ///< All scores behind it are -infinity.

/// What a text comes to, token by token; 0 at first. It is the same number in float32.
[[nodiscard]] constexpr std::int64_t advance(std::int64_t hash, std::int64_t code) {
  return (hash * 31 + code) % 65521;
}

/// What a cache holds of a token.
[[nodiscard]] constexpr std::int64_t code_of(std::int64_t token, std::int64_t position) {
  return token * 64 + position + 1;
}

/// A token's score behind a text.
[[nodiscard]] constexpr float score(std::int64_t hash, std::int64_t token) {
  if (token >= kBrokenToken) return -50.0F;
  return static_cast<float>((hash / (3 * token + 1) + 7 * token) % 23);
}

/// The profile of verify for steps of so many rows of so many sequences; it takes no other.
[[nodiscard]] constexpr std::int32_t profile_of(std::int32_t rows, std::int32_t batch = 1) {
  return (kModelBatch - batch) * kModelRows + kModelRows - rows;
}

/// The same of heads.
[[nodiscard]] constexpr std::int32_t head_profile_of(std::int32_t batch) { return kModelBatch - batch; }

/// A plan's sizes that calls decide.
inline constexpr std::int64_t kAnyBatch = -2;
inline constexpr std::int64_t kAnyWidth = -3;
inline constexpr std::int64_t kAnyRows = -4;

/// A plan of the model, by the words of its file:
/// "verify": the trunk.
/// "draft SALT STRIDE": a sequential head, which scores every STRIDE-th token as if the text came to SALT
/// more. "draft_all DEPTHS STRIDE": heads at once, which add 7, 14, ... to what the text without its last
/// token comes to.
struct ModelPlan {
  explicit ModelPlan(std::string_view words);

  std::string kind;  // empty: no plan of the model
  std::int64_t number = 0;
  std::int64_t stride = 1;
  std::vector<FakeTensor> tensors;

  [[nodiscard]] std::int64_t scores() const { return (kModelVocab + stride - 1) / stride; }
};

/// A call of a plan: what a graph holds of it.
class ModelCall {
 public:
  explicit ModelCall(const ModelPlan& plan) : plan_(plan) {}

  [[nodiscard]] const ModelPlan& plan() const { return plan_; }

  /// False: an input is out of range.
  [[nodiscard]] bool run() const;

  std::map<std::string, std::vector<std::int64_t>> shapes;
  std::map<std::string, void*> addresses;

 private:
  template <typename T>
  [[nodiscard]] T* of(const std::string& name) const {
    return static_cast<T*>(addresses.at(name));
  }
  template <typename Act>
  void each_cell(std::int64_t sequence, std::int64_t place, Act act) const;
  [[nodiscard]] std::int64_t code_at(std::int64_t sequence, std::int64_t place) const;
  [[nodiscard]] bool run_verify(std::int64_t sequence) const;
  [[nodiscard]] bool write_rows(std::int64_t sequence) const;
  void write_results(std::int64_t sequence, std::int64_t row) const;
  [[nodiscard]] bool run_draft(std::int64_t sequence) const;
  void run_all_drafts(std::int64_t sequence) const;
  void write_scores(float* logits, std::int64_t hash) const;

  ModelPlan plan_;
};

/// Sequences and rows of each of a call that ran.
struct ModelRun {
  std::string kind;  // of its plan
  std::int64_t batch = 0;
  std::int64_t width = 0;

  bool operator==(const ModelRun&) const = default;
};

/// Calls that ran, in their order; whoever looks clears it.
[[nodiscard]] std::vector<ModelRun>& model_runs();

/// Contexts that were made, counted.
[[nodiscard]] std::int32_t& model_contexts();

/// Whether calls of the model's plans fail, in a capture or before; looked at with every call.
struct ModelFaults {
  bool fails = false;
  bool fails_in_capture = false;
  std::string without;  // plans that open have no tensor of this name
};
[[nodiscard]] ModelFaults& model_faults();

/// The plan, open. `say` takes what the fake says.
[[nodiscard]] nvinfer1::ICudaEngine* open_model(const ModelPlan& plan, nvinfer1::ILogger* logger);

}  // namespace mtp_rt::testing
