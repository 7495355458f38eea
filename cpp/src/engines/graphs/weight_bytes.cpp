#include "engines/graphs/weight_bytes.h"

#include <string>
#include <string_view>

#include "io/model_layout.h"

namespace mtp_rt::graphs {
namespace {

/// Of the stored tensors whose names start with `prefix`.
std::size_t bytes_of(const Backend& backend, const ModelDir& model, std::string_view prefix) {
  std::size_t total = 0;
  for (const std::string& name : model.tensor_names()) {
    if (name.starts_with(prefix)) total += backend.weight_bytes(model, name);
  }
  return total;
}

}  // namespace

std::size_t step_bytes(const Backend& backend, const ModelDir& model) {
  // An embedding that does not score gives a row only.
  const std::size_t unread =
      model.config().tied_embedding ? 0 : bytes_of(backend, model, "model.embed_tokens.");
  return bytes_of(backend, model, "") - bytes_of(backend, model, "heads.") - unread;
}

std::size_t depth_bytes(const Backend& backend, const ModelDir& model, const HeadsConfig& heads) {
  const std::size_t unembed = bytes_of(backend, model, "heads.unembed.");
  const std::size_t modules = bytes_of(backend, model, "heads.") - unembed;
  const bool own_scores = heads.draft_vocab_size || heads.own_unembedding;
  const std::size_t output = own_scores ? 0 : bytes_of(backend, model, io::output_matrix(model.config()));
  return modules / static_cast<std::size_t>(heads.modules()) + unembed + output;
}

}  // namespace mtp_rt::graphs
