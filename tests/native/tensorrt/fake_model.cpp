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
  if (plan_.kind == "verify") return run_verify();
  return plan_.kind == "draft" ? run_draft() : run_all_drafts();
}

/// Acts on every value that the caches hold of a place: its matrix, its number there and where it lies.
template <typename Act>
void ModelCall::each_cell(std::int64_t place, Act act) const {
  for (std::int64_t matrix = 0; matrix < kModelMatrices; ++matrix) {
    auto* values = of<std::uint16_t>(matrix == 0 ? "present.0.key" : "present.0.value");
    for (std::int64_t at = 0; at < kModelHeads * kModelDim; ++at)
      act(matrix, at, values[(at / kModelDim * kModelPlaces + place) * kModelDim + at % kModelDim]);
  }
}

/// The code in a place; 0 unless all of its values are those of one token.
std::int64_t ModelCall::code_at(std::int64_t place) const {
  std::int64_t code = -1;
  each_cell(place, [&](std::int64_t matrix, std::int64_t at, std::uint16_t value) {
    if (code < 0) code = value / 16;
    if (value != cell(code, matrix, at)) code = 0;
  });
  return code;
}

bool ModelCall::run_verify() const {
  if (!write_rows()) return false;
  for (std::int64_t row = 0; row < shapes.at("tokens")[1]; ++row) {
    const std::int64_t scored = of<std::int64_t>("rows")[row];
    if (scored != row) return false;
    write_results(row);
  }
  return true;
}

/// Tokens and positions into the caches, behind what they hold.
bool ModelCall::write_rows() const {
  const std::int64_t width = shapes.at("tokens")[1];
  const std::int64_t length = *of<std::int64_t>("lengths");
  if (shapes.at("rows")[1] != width || length < 0 || length + width > kModelPlaces) return false;
  for (std::int64_t row = 0; row < width; ++row) {
    const std::int64_t token = of<std::int64_t>("tokens")[row];
    const std::int64_t position = of<std::int64_t>("positions")[row];
    if (token < 0 || token >= kModelVocab || position < 0 || position >= kModelPlaces) return false;
    each_cell(length + row, [&](std::int64_t matrix, std::int64_t at, std::uint16_t& value) {
      value = cell(code_of(token, position), matrix, at);
    });
  }
  return true;
}

void ModelCall::write_results(std::int64_t row) const {
  const std::int64_t width = shapes.at("tokens")[1];
  const std::int64_t length = *of<std::int64_t>("lengths");
  std::int64_t hash = 0;
  for (std::int64_t place = 0; place < length; ++place) hash = advance(hash, code_at(place));
  for (std::int64_t seen = 0; seen < width; ++seen) {
    if (of<bool>("tree")[row * width + seen]) hash = advance(hash, code_at(length + seen));
  }
  float* state = of<float>("state") + row * kModelHidden;
  std::fill_n(state, kModelHidden, 0.0F);
  state[0] = static_cast<float>(hash);
  state[1] = static_cast<float>(of<std::int64_t>("positions")[row]);
  float* logits = of<float>("logits") + row * kModelVocab;
  for (std::int64_t token = 0; token < kModelVocab; ++token) logits[token] = score(hash, token);
  const std::int64_t token = of<std::int64_t>("tokens")[row];
  if (token == kBrokenToken) logits[3] = std::nanf("");
  if (token == kSilentToken) std::fill_n(logits, kModelVocab, -std::numeric_limits<float>::infinity());
}

bool ModelCall::run_draft() const {
  const float* state = of<float>("state");
  const std::int64_t token = *of<std::int64_t>("tokens");
  if (token < 0 || token >= kModelVocab) return false;
  const std::int64_t position = static_cast<std::int64_t>(state[1]) + 1;
  const std::int64_t hash = advance(static_cast<std::int64_t>(state[0]), code_of(token, position));
  float* next = of<float>("next_state");
  std::fill_n(next, kModelHidden, 0.0F);
  next[0] = static_cast<float>(hash);
  next[1] = static_cast<float>(position);
  write_scores(of<float>("logits"), hash + plan_.number);
  *of<std::int64_t>("ids") = -7;
  return true;
}

bool ModelCall::run_all_drafts() const {
  const auto hash = static_cast<std::int64_t>(*of<float>("state"));
  for (std::int64_t depth = 0; depth < plan_.number; ++depth) {
    write_scores(of<float>("logits") + depth * plan_.scores(), hash + 7 * (depth + 1));
    of<std::int64_t>("ids")[depth] = -7;
  }
  return true;
}

void ModelCall::write_scores(float* logits, std::int64_t hash) const {
  for (std::int64_t i = 0; i < plan_.scores(); ++i) logits[i] = score(hash, i * plan_.stride);
}

}  // namespace mtp_rt::testing
