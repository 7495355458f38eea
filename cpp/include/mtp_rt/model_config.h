// What config.json of a model directory says, checked. docs/model_dir.md is the specification.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mtp_rt/token.h"

namespace mtp_rt {

/// How pairs of a head's dimensions rotate: (2i, 2i + 1), or (i, i + head_dim / 2).
enum class RopeLayout { interleaved, half };

struct ModelConfig {
  int format_version = 1;
  std::string architecture;  // "LlamaForCausalLM"
  std::int32_t hidden_size = 0;
  std::int32_t intermediate_size = 0;
  std::int32_t layers = 0;
  std::int32_t heads = 0;
  std::int32_t kv_heads = 0;
  std::int32_t head_dim = 0;
  std::int32_t vocab_size = 0;
  std::int32_t context = 0;  // max_position_embeddings
  float rms_norm_eps = 1e-5F;
  double rope_theta = 10000.0;
  RopeLayout rope_layout = RopeLayout::half;
  bool tied_embedding = false;
  std::optional<Token> bos;
  std::vector<Token> eos;  // tokens that end a text
  /// Two-stage head: entries within this distance of the coarse best are scored exactly. Empty: off.
  std::optional<float> two_stage_margin;
};

/// Reads the text of a config.json.
///
/// Throws ModelFormatError(`file`, field, ...) on a missing, mistyped, out-of-range or inconsistent field,
/// and UnsupportedError on an architecture or feature that no engine has.
[[nodiscard]] ModelConfig parse_model_config(std::string_view text, const std::string& file);

}  // namespace mtp_rt
