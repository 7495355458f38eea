#include "mtp_rt/model_config.h"

#include "io/heads_config.h"
#include "io/json_fields.h"
#include "mtp_rt/error.h"

namespace mtp_rt {
namespace {

using io::Json;
using io::JsonFields;

constexpr std::int64_t kMaxEos = 64;

[[noreturn]] void unsupported(const JsonFields& fields, const char* key, const std::string& problem) {
  throw UnsupportedError(fields.file() + ": " + fields.full_name(key) + ": " + problem);
}

void read_architecture(const JsonFields& fields, ModelConfig& config) {
  const Json& names = fields.get("architectures");
  if (!names.is_array() || names.size() != 1 || !names[0].is_string()) {
    fields.fail("architectures", "is " + io::describe(names) + "; expected a list that holds one name");
  }
  config.architecture = names[0].get<std::string>();
  if (config.architecture != "LlamaForCausalLM") {
    unsupported(fields, "architectures",
                io::describe(names[0]) + " is not supported; supported: LlamaForCausalLM");
  }
  if (const std::string type = fields.string("model_type"); type != "llama") {
    unsupported(fields, "model_type", "\"" + io::printable(type) + "\" is not supported; supported: llama");
  }
}

void read_sizes(const JsonFields& fields, ModelConfig& config) {
  const auto size = [&fields](const char* key, std::int64_t most, std::int64_t least = 1) {
    return static_cast<std::int32_t>(fields.integer(key, least, most));
  };
  config.hidden_size = fields.blocks_of_32("hidden_size", 32, 65536);
  config.intermediate_size = fields.blocks_of_32("intermediate_size", 32, 65536);
  config.layers = size("num_hidden_layers", 1024);
  config.heads = size("num_attention_heads", 1024);
  config.kv_heads =
      static_cast<std::int32_t>(fields.integer("num_key_value_heads", 1, config.heads, config.heads));
  if (config.heads % config.kv_heads != 0) {
    fields.fail("num_key_value_heads", "is " + std::to_string(config.kv_heads) +
                                           "; expected a divisor of num_attention_heads, " +
                                           std::to_string(config.heads));
  }
  if (fields.find("head_dim") != nullptr) {
    config.head_dim = fields.blocks_of_32("head_dim", 32, 512);
  } else {
    config.head_dim = config.hidden_size / config.heads;
    if (config.hidden_size % config.heads != 0 || config.head_dim % 32 != 0 || config.head_dim < 32 ||
        config.head_dim > 512) {
      fields.fail("head_dim",
                  "is missing, and hidden_size / num_attention_heads is not a multiple of 32 from 32 to 512");
    }
  }
  config.vocab_size = size("vocab_size", 1048576, 2);
  config.context = size("max_position_embeddings", 1048576);
  config.rms_norm_eps = static_cast<float>(fields.number("rms_norm_eps", 1e-12, 0.1, 1e-6));
  config.rope_theta = fields.number("rope_theta", 1.0, 1e12, 10000.0);
}

void refuse_other_features(const JsonFields& fields) {
  if (fields.find("rope_scaling") != nullptr) {
    unsupported(fields, "rope_scaling", "scaled rotary embeddings are not supported; supported: null");
  }
  if (const Json* const activation = fields.find("hidden_act"); activation && *activation != "silu") {
    unsupported(fields, "hidden_act", io::describe(*activation) + " is not supported; supported: silu");
  }
  for (const char* const key : {"attention_bias", "mlp_bias"}) {
    if (fields.boolean(key, false)) unsupported(fields, key, "biases are not supported; supported: false");
  }
}

Token read_token(const JsonFields& fields, const char* key, const Json& value, std::int32_t vocab_size) {
  const auto token = io::as_integer(value, 0, vocab_size - 1);
  if (!token) {
    fields.fail(key, "holds " + io::describe(value) + "; expected a token id below vocab_size, " +
                         std::to_string(vocab_size));
  }
  return static_cast<Token>(*token);
}

void read_special_tokens(const JsonFields& fields, ModelConfig& config) {
  if (const Json* const bos = fields.find("bos_token_id")) {
    config.bos = read_token(fields, "bos_token_id", *bos, config.vocab_size);
  }
  const Json* const eos = fields.find("eos_token_id");
  if (eos == nullptr) return;
  if (!eos->is_array()) {
    config.eos.push_back(read_token(fields, "eos_token_id", *eos, config.vocab_size));
    return;
  }
  if (eos->empty() || eos->size() > kMaxEos) {
    fields.fail("eos_token_id", "lists " + std::to_string(eos->size()) + " ids; expected 1 to 64");
  }
  for (const Json& id : *eos) config.eos.push_back(read_token(fields, "eos_token_id", id, config.vocab_size));
}

/// Fields that inform and steer nothing: only their form is checked.
void check_notes(const JsonFields& own) {
  if (own.find("quantization") != nullptr) {
    const JsonFields kinds = own.object("quantization");
    kinds.allow_only({"layers", "lm_head"});
    for (const char* const key : {"layers", "lm_head"}) {
      if (kinds.find(key) != nullptr) io::check_kind(kinds, key);
    }
  }
  if (own.find("source") != nullptr) {
    const JsonFields source = own.object("source");
    source.allow_only({"name", "file", "sha256", "license"});
    for (const char* const key : {"name", "file", "sha256", "license"}) {
      if (source.find(key) != nullptr) static_cast<void>(source.string(key));
    }
  }
}

void read_own_fields(const JsonFields& own, ModelConfig& config) {
  const std::string layout = own.string("rope_layout");
  if (layout != "interleaved" && layout != "half") {
    own.fail("rope_layout", "is \"" + io::printable(layout) + "\"; expected interleaved or half");
  }
  config.rope_layout = layout == "half" ? RopeLayout::half : RopeLayout::interleaved;
  if (own.find("two_stage_head") != nullptr) {
    const JsonFields head = own.object("two_stage_head");
    head.allow_only({"margin"});
    config.two_stage_margin = static_cast<float>(head.number("margin", 1e-3, 100.0));
  }
  if (own.find("heads") != nullptr) config.extra_heads = io::read_heads(own.object("heads"), config);
  check_notes(own);
}

}  // namespace

ModelConfig parse_model_config(std::string_view text, const std::string& file) {
  const Json root = io::parse_json_object(text, file, "");
  const JsonFields fields(root, file, "");
  ModelConfig config;
  read_architecture(fields, config);
  const JsonFields own = fields.object("mtp_rt");
  config.format_version = static_cast<int>(own.integer("format_version", 1, 1 << 30));
  if (config.format_version != 1) {
    unsupported(own, "format_version",
                "version " + std::to_string(config.format_version) + " is newer than this mtp-rt; update it");
  }
  own.allow_only({"format_version", "rope_layout", "two_stage_head", "heads", "quantization", "source"});
  read_sizes(fields, config);
  refuse_other_features(fields);
  config.tied_embedding = fields.boolean("tie_word_embeddings", false);
  read_special_tokens(fields, config);
  read_own_fields(own, config);
  return config;
}

}  // namespace mtp_rt
