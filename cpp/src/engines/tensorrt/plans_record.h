// What tensorrt.json says of a model directory's plans: what built them, and which calls each can serve.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mtp_rt/model_dir.h"

namespace mtp_rt::tensorrt {

inline constexpr const char* kPlansRecord = "tensorrt.json";

/// Sizes that a profile serves; it was tuned for `usual`.
struct SizeRange {
  std::int32_t least = 1;
  std::int32_t usual = 1;
  std::int32_t most = 1;

  [[nodiscard]] bool holds(std::int32_t size) const noexcept { return least <= size && size <= most; }
};

/// Shapes of the calls that a profile serves.
struct Profile {
  SizeRange batch;  // sequences of a call
  SizeRange width;  // rows of each
  SizeRange rows;   // rows of each that are scored
};

/// A plan file.
struct Plan {
  std::string file;           // "verify.2048.engine", "draft.engine"
  std::string graph;          // "verify", "draft", "draft_2", ...
  std::int32_t context = 0;   // positions of a sequence; 0 where the graph has no caches
  std::int32_t capacity = 0;  // places of a sequence's cache; 0 where the graph has none
  std::size_t bytes = 0;
  std::string sha256;
  std::vector<Profile> profiles;  // never empty
};

/// A GPU as the record names it.
struct BuiltFor {
  std::string name;
  std::string compute_capability;  // "9.0"
};

struct PlansRecord {
  std::string library;            // "tensorrt" or "tensorrt_rtx"
  std::string version;            // of it: "10.15.1.29"
  std::optional<BuiltFor> gpu;    // empty: the plans run on every GPU that the library supports
  std::string weights_sha256;     // of the model.safetensors that the plans hold
  std::int32_t batch = 1;         // sequences of a step, at most
  std::int32_t step_width = 1;    // rows of a sequence in a step, at most
  std::int32_t prompt_width = 1;  // rows of a sequence in a call that reads a prompt, at most
  std::vector<Plan> plans;
};

/// Reads the record of `model` and checks that every plan it names is there with the size it names.
///
/// Digests are read, not compared: whoever has a reason to doubt the files compares them.
/// Throws ModelFormatError naming the file and the field otherwise, or if there is no record.
[[nodiscard]] PlansRecord read_plans_record(const ModelDir& model);

/// Throws UnsupportedError unless the plans were built by this very library: "tensorrt", "10.15.1.29".
void check_library(const PlansRecord& record, std::string_view library, std::string_view version);

/// Throws UnsupportedError if the plans were built for GPUs of another compute capability.
void check_gpu(const PlansRecord& record, std::string_view compute_capability);

/// The plan of `graph` with the least context that is enough for `context` positions, or its only one where
/// it has no caches. Throws UnsupportedError if there is none, naming the contexts that there are.
[[nodiscard]] const Plan& plan_for(const PlansRecord& record, std::string_view graph, std::int32_t context);

/// The index of the first profile of `plan` that serves such a call; empty: none does.
[[nodiscard]] std::optional<std::int32_t> profile_for(const Plan& plan, std::int32_t batch,
                                                      std::int32_t width, std::int32_t rows);

}  // namespace mtp_rt::tensorrt
