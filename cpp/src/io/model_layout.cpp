#include "io/model_layout.h"

#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <set>
#include <utility>

#include "io/heads_layout.h"
#include "mtp_rt/error.h"

namespace mtp_rt::io {
namespace {

constexpr std::int64_t kBlock = 32;

std::string shape_text(std::span<const std::int64_t> shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return text + "]";
}

/// Finds tensors of one table and demands what they must be.
class Finder {
 public:
  Finder(const TensorTable& table, std::span<const std::byte> file, const std::string& name)
      : table_(table), file_(file), name_(name) {}

  [[nodiscard]] bool has(const std::string& tensor) const { return table_.contains(tensor); }

  [[nodiscard]] TensorView get(const std::string& tensor, std::initializer_list<DType> dtypes,
                               std::initializer_list<std::int64_t> shape) const {
    const auto found = table_.find(tensor);
    if (found == table_.end()) fail(tensor, "is missing; write the model again");
    const StoredTensor& stored = found->second;
    std::string expected;
    bool right = false;
    for (const DType dtype : dtypes) {
      expected += (expected.empty() ? "" : " or ") + std::string(dtype_name(dtype));
      right = right || dtype == stored.dtype;
    }
    if (!right) fail(tensor, std::string("has dtype ") + dtype_name(stored.dtype) + "; expected " + expected);
    if (!std::ranges::equal(stored.shape, shape)) {
      fail(tensor, "has shape " + shape_text(stored.shape) + "; config.json asks for " +
                       shape_text(std::span(shape.begin(), shape.size())));
    }
    return view_of(stored, file_);
  }

  [[noreturn]] void fail(const std::string& tensor, const std::string& problem) const {
    throw ModelFormatError(name_, tensor, problem);
  }

 private:
  const TensorTable& table_;
  std::span<const std::byte> file_;
  const std::string& name_;
};

/// Whether every half-precision number in `bytes` is finite: none has all exponent bits set.
bool all_finite_f16(std::span<const std::byte> bytes) noexcept {
  unsigned bad = 0;
  for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, bytes.data() + i, sizeof bits);
    bad |= static_cast<unsigned>((bits & 0x7C00U) == 0x7C00U);
  }
  return bad == 0;
}

void check_finite(const Finder& finder, const std::string& tensor, const TensorView& view) {
  if (!all_finite_f16(view.bytes))
    finder.fail(tensor, "holds a number that is not finite; write the model again");
}

void check_ids(const Finder& finder, const IdsSpec& spec, const TensorView& view) {
  std::int64_t before = -1;
  for (std::int64_t i = 0; i < spec.size; ++i) {
    std::int32_t id = 0;
    std::memcpy(&id, view.bytes.subspan(static_cast<std::size_t>(i) * sizeof id).data(), sizeof id);
    if (id <= before || id >= spec.bound) {
      finder.fail(spec.name, "holds " + std::to_string(id) + " at index " + std::to_string(i) +
                                 "; expected ascending ids below " + std::to_string(spec.bound));
    }
    before = id;
  }
}

}  // namespace

void add_block(const std::string& prefix, const ModelConfig& config, std::int64_t inner,
               ModelLayout& layout) {
  // Both factors are at most 1,024 and 512: see model_config.cpp.
  const std::int64_t query_rows = std::int64_t{config.heads} * config.head_dim;
  const std::int64_t kv_rows = std::int64_t{config.kv_heads} * config.head_dim;
  const std::int64_t hidden = config.hidden_size;
  layout.vectors.push_back({prefix + "input_layernorm.weight", hidden});
  layout.matrices.push_back({prefix + "self_attn.q_proj.weight", query_rows, hidden});
  layout.matrices.push_back({prefix + "self_attn.k_proj.weight", kv_rows, hidden});
  layout.matrices.push_back({prefix + "self_attn.v_proj.weight", kv_rows, hidden});
  layout.matrices.push_back({prefix + "self_attn.o_proj.weight", hidden, query_rows});
  layout.vectors.push_back({prefix + "post_attention_layernorm.weight", hidden});
  layout.matrices.push_back({prefix + "mlp.gate_proj.weight", inner, hidden});
  layout.matrices.push_back({prefix + "mlp.up_proj.weight", inner, hidden});
  layout.matrices.push_back({prefix + "mlp.down_proj.weight", hidden, inner});
}

ModelLayout layout_of(const ModelConfig& config) {
  const std::int64_t hidden = config.hidden_size;
  ModelLayout layout;
  layout.matrices.push_back({"model.embed_tokens.weight", config.vocab_size, hidden});
  if (!config.tied_embedding) layout.matrices.push_back({"lm_head.weight", config.vocab_size, hidden});
  for (std::int32_t i = 0; i < config.layers; ++i) {
    add_block("model.layers." + std::to_string(i) + ".", config, config.intermediate_size, layout);
  }
  layout.vectors.push_back({"model.norm.weight", hidden});
  if (config.extra_heads) add_heads(*config.extra_heads, config, layout);
  return layout;
}

const char* output_matrix(const ModelConfig& config) noexcept {
  return config.tied_embedding ? "model.embed_tokens.weight" : "lm_head.weight";
}

TensorView view_of(const StoredTensor& tensor, std::span<const std::byte> file) noexcept {
  return {tensor.dtype, tensor.shape, file.subspan(tensor.begin, tensor.end - tensor.begin)};
}

WeightView find_matrix(const TensorTable& table, std::span<const std::byte> file, const MatrixSpec& spec,
                       const std::string& name) {
  const Finder finder(table, file, name);
  const bool plain = finder.has(spec.name);
  const bool q8 = finder.has(spec.name + ".q8");
  const bool q4 = finder.has(spec.name + ".q4");
  if (int{plain} + int{q8} + int{q4} > 1) {
    finder.fail(spec.name, "is stored twice: as more than one of NAME, NAME.q8 and NAME.q4; keep one");
  }
  WeightView view;
  view.rows = spec.rows;
  view.cols = spec.cols;
  if (!q8 && !q4) {
    view.data = finder.get(spec.name, {DType::f32, DType::bf16}, {spec.rows, spec.cols});
    view.quant = view.data.dtype == DType::f32 ? Quant::f32 : Quant::bf16;
    return view;
  }
  const std::int64_t blocks = spec.cols / kBlock;
  if (q8) {
    view.quant = Quant::q8;
    view.data = finder.get(spec.name + ".q8", {DType::i8}, {spec.rows, spec.cols});
  } else {
    view.quant = Quant::q4;
    view.data = finder.get(spec.name + ".q4", {DType::u8}, {spec.rows, spec.cols / 2});
    view.min = finder.get(spec.name + ".min", {DType::f16}, {spec.rows, blocks});
  }
  view.scale = finder.get(spec.name + ".scale", {DType::f16}, {spec.rows, blocks});
  return view;
}

void check_layout(const TensorTable& table, std::span<const std::byte> file, const ModelLayout& layout,
                  const std::string& name) {
  const Finder finder(table, file, name);
  std::set<std::string, std::less<>> known;
  for (const VectorSpec& spec : layout.vectors) {
    static_cast<void>(finder.get(spec.name, {DType::f32}, {spec.size}));
    known.insert(spec.name);
  }
  std::vector<TensorView> ids;
  for (const IdsSpec& spec : layout.ids) {
    ids.push_back(finder.get(spec.name, {DType::i32}, {spec.size}));
    known.insert(spec.name);
  }
  std::vector<std::pair<std::string, TensorView>> halves;
  for (const MatrixSpec& spec : layout.matrices) {
    const WeightView view = find_matrix(table, file, spec, name);
    switch (view.quant) {
      case Quant::f32:
      case Quant::bf16:
        known.insert(spec.name);
        continue;
      case Quant::q8:
        known.insert(spec.name + ".q8");
        break;
      case Quant::q4:
        known.insert(spec.name + ".q4");
        halves.emplace_back(spec.name + ".min", view.min);
        break;
    }
    halves.emplace_back(spec.name + ".scale", view.scale);
  }
  for (const auto& [tensor, view] : halves) known.insert(tensor);
  for (const auto& [tensor, stored] : table) {
    if (!known.contains(tensor)) {
      finder.fail(tensor, tensor.starts_with("lm_head.")
                              ? "is stored although tie_word_embeddings says that the embedding is used"
                              : "is not a tensor of this model; remove it or correct config.json");
    }
  }
  for (const auto& [tensor, view] : halves) check_finite(finder, tensor, view);
  for (std::size_t i = 0; i < ids.size(); ++i) check_ids(finder, layout.ids[i], ids[i]);
}

}  // namespace mtp_rt::io
