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

/// What an extra head reads: the trunk's state (all heads at once), the state of the head before it, or that
/// state and the token just drafted.
enum class HeadWiring { parallel, chained, sequential };

/// What a head computes: one matrix, a residual MLP, or a transformer block with its own keys and values.
enum class HeadBody { linear, residual, block };

/// Heads that draft the tokens behind the next one.
struct HeadsConfig {
  std::string preset;  // informative; empty: none
  std::int32_t count = 0;
  HeadWiring wiring = HeadWiring::parallel;
  HeadBody body = HeadBody::linear;
  bool shared = false;                 // one module, applied again and again
  std::int32_t intermediate_size = 0;  // 0 for linear bodies
  std::vector<std::int32_t> taps;      // layers whose outputs are read, ascending; empty: the final state
  std::optional<std::int32_t> draft_vocab_size;  // empty: all tokens are scored
  bool own_unembedding = false;  // an output matrix for each module, not that of all heads or of the trunk
  bool output_norm = false;
  std::optional<std::int32_t> window;  // positions that a block attends back to
  std::vector<float> acceptance;  // [count] chance of draft k where the drafts before it stood; may be empty

  [[nodiscard]] std::int32_t modules() const noexcept { return shared ? 1 : count; }
};

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
  std::optional<HeadsConfig> extra_heads;
};

/// Reads the text of a config.json.
///
/// Throws ModelFormatError(`file`, field, ...) on a missing, mistyped, out-of-range or inconsistent field,
/// and UnsupportedError on an architecture or feature that no engine has.
[[nodiscard]] ModelConfig parse_model_config(std::string_view text, const std::string& file);

}  // namespace mtp_rt
