#include "fake_model.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace mtp_rt::testing {
namespace {

std::uint16_t cell(std::int64_t code, std::int64_t matrix, std::int64_t at) {
  return static_cast<std::uint16_t>(code * 16 + matrix * 8 + at % 8);
}

}  // namespace

bool ModelCall::run() const {
  const bool verifies = plan_.kind == "verify";
  const std::vector<std::int64_t>& shape = shapes.at(verifies ? "tokens" : "state");
  model_runs().push_back({plan_.kind, shape[0], shape[1]});
  for (std::int64_t sequence = 0; sequence < shape[0]; ++sequence) {
    if (plan_.kind == "draft_all") run_all_drafts(sequence);
    if (verifies && !run_verify(sequence)) return false;
    if (plan_.kind == "draft" && !run_draft(sequence)) return false;
  }
  return true;
}

/// Acts on every value that a sequence's caches hold of a place: its matrix, its number there and where it
/// lies.
template <typename Act>
void ModelCall::each_cell(std::int64_t sequence, std::int64_t place, Act act) const {
  for (std::int64_t matrix = 0; matrix < kModelMatrices; ++matrix) {
    auto* values = of<std::uint16_t>(matrix == 0 ? "present.0.key" : "present.0.value");
    for (std::int64_t at = 0; at < kModelHeads * kModelDim; ++at) {
      const std::int64_t head = sequence * kModelHeads + at / kModelDim;
      act(matrix, at, values[(head * kModelPlaces + place) * kModelDim + at % kModelDim]);
    }
  }
}

/// The code in a place; 0 unless all of its values are those of one token.
std::int64_t ModelCall::code_at(std::int64_t sequence, std::int64_t place) const {
  std::int64_t code = -1;
  each_cell(sequence, place, [&](std::int64_t matrix, std::int64_t at, std::uint16_t value) {
    if (code < 0) code = value / 16;
    if (value != cell(code, matrix, at)) code = 0;
  });
  return code;
}

bool ModelCall::run_verify(std::int64_t sequence) const {
  if (!write_rows(sequence)) return false;
  const std::int64_t width = shapes.at("tokens")[1];
  for (std::int64_t row = 0; row < width; ++row) {
    const std::int64_t scored = of<std::int64_t>("rows")[sequence * width + row];
    if (scored != row) return false;
    write_results(sequence, row);
  }
  return true;
}

/// Tokens and positions into a sequence's caches, behind what they hold.
bool ModelCall::write_rows(std::int64_t sequence) const {
  const std::int64_t width = shapes.at("tokens")[1];
  const std::int64_t length = of<std::int64_t>("lengths")[sequence];
  if (shapes.at("rows")[1] != width || length < 0 || length + width > kModelPlaces) return false;
  for (std::int64_t row = 0; row < width; ++row) {
    const std::int64_t token = of<std::int64_t>("tokens")[sequence * width + row];
    const std::int64_t position = of<std::int64_t>("positions")[sequence * width + row];
    if (token < 0 || token >= kModelVocab || position < 0 || position >= kModelPlaces) return false;
    each_cell(sequence, length + row, [&](std::int64_t matrix, std::int64_t at, std::uint16_t& value) {
      value = cell(code_of(token, position), matrix, at);
    });
  }
  return true;
}

void ModelCall::write_results(std::int64_t sequence, std::int64_t row) const {
  const std::int64_t width = shapes.at("tokens")[1];
  const std::int64_t length = of<std::int64_t>("lengths")[sequence];
  const std::int64_t at = sequence * width + row;
  std::int64_t hash = 0;
  for (std::int64_t place = 0; place < length; ++place) hash = advance(hash, code_at(sequence, place));
  for (std::int64_t seen = 0; seen < width; ++seen) {
    if (of<bool>("tree")[at * width + seen]) hash = advance(hash, code_at(sequence, length + seen));
  }
  float* state = of<float>("state") + at * kModelHidden;
  std::fill_n(state, kModelHidden, 0.0F);
  state[0] = static_cast<float>(hash);
  state[1] = static_cast<float>(of<std::int64_t>("positions")[at]);
  float* logits = of<float>("logits") + at * kModelVocab;
  for (std::int64_t token = 0; token < kModelVocab; ++token) logits[token] = score(hash, token);
  const std::int64_t token = of<std::int64_t>("tokens")[at];
  if (token == kBrokenToken) logits[3] = std::nanf("");
  if (token == kSilentToken) std::fill_n(logits, kModelVocab, -std::numeric_limits<float>::infinity());
}

bool ModelCall::run_draft(std::int64_t sequence) const {
  const float* state = of<float>("state") + sequence * kModelHidden;
  const std::int64_t token = of<std::int64_t>("tokens")[sequence];
  if (token < 0 || token >= kModelVocab) return false;
  const std::int64_t position = static_cast<std::int64_t>(state[1]) + 1;
  const std::int64_t hash = advance(static_cast<std::int64_t>(state[0]), code_of(token, position));
  float* next = of<float>("next_state") + sequence * kModelHidden;
  std::fill_n(next, kModelHidden, 0.0F);
  next[0] = static_cast<float>(hash);
  next[1] = static_cast<float>(position);
  write_scores(of<float>("logits") + sequence * plan_.scores(), hash + plan_.number);
  of<std::int64_t>("ids")[sequence] = -7;
  return true;
}

void ModelCall::run_all_drafts(std::int64_t sequence) const {
  const auto hash = static_cast<std::int64_t>(of<float>("state")[sequence * kModelHidden]);
  for (std::int64_t depth = 0; depth < plan_.number; ++depth) {
    const std::int64_t at = sequence * plan_.number + depth;
    write_scores(of<float>("logits") + at * plan_.scores(), hash + 7 * (depth + 1));
    of<std::int64_t>("ids")[at] = -7;
  }
}

void ModelCall::write_scores(float* logits, std::int64_t hash) const {
  for (std::int64_t i = 0; i < plan_.scores(); ++i) logits[i] = score(hash, i * plan_.stride);
}

std::vector<ModelRun>& model_runs() {
  static std::vector<ModelRun> runs;
  return runs;
}

std::int32_t& model_contexts() {
  static std::int32_t count = 0;
  return count;
}

}  // namespace mtp_rt::testing
