#include "io/heads_config.h"

#include <array>
#include <utility>

namespace mtp_rt::io {
namespace {

constexpr std::int64_t kMaxHeads = 15;
constexpr std::size_t kMaxTaps = 8;

template <typename Value, std::size_t kCount>
Value one_of(const JsonFields& fields, const char* key,
             const std::array<std::pair<const char*, Value>, kCount>& known) {
  const std::string text = fields.string(key);
  std::string names;
  for (const auto& [name, value] : known) {
    if (text == name) return value;
    names += (names.empty() ? "" : ", ") + std::string(name);
  }
  fields.fail(key, "is \"" + printable(text) + "\"; expected one of " + names);
}

void read_body(const JsonFields& fields, HeadsConfig& heads) {
  constexpr std::array<std::pair<const char*, HeadWiring>, 3> kWirings = {
      {{"parallel", HeadWiring::parallel},
       {"chained", HeadWiring::chained},
       {"sequential", HeadWiring::sequential}}};
  constexpr std::array<std::pair<const char*, HeadBody>, 3> kBodies = {
      {{"linear", HeadBody::linear}, {"residual", HeadBody::residual}, {"block", HeadBody::block}}};
  heads.wiring = one_of(fields, "wiring", kWirings);
  heads.body = one_of(fields, "body", kBodies);
  heads.shared = fields.boolean("shared", false);
  if (heads.shared && heads.wiring == HeadWiring::parallel) {
    fields.fail("shared", "is true, but parallel heads would all be the same; set it to false");
  }
  if (heads.body != HeadBody::linear) {
    heads.intermediate_size = fields.blocks_of_32("intermediate_size", 32, 65536);
  } else if (fields.find("intermediate_size") != nullptr) {
    fields.fail("intermediate_size", "is set, but linear bodies have none; remove it");
  }
  if (fields.find("window") == nullptr) return;
  if (heads.body != HeadBody::block) {
    fields.fail("window", "is set, but only block bodies attend; remove it");
  }
  heads.window = static_cast<std::int32_t>(fields.integer("window", 1, 1048576));
}

void read_unembedding(const JsonFields& fields, std::int32_t vocab_size, HeadsConfig& heads) {
  if (fields.find("draft_vocab_size") != nullptr) {
    heads.draft_vocab_size = fields.blocks_of_32("draft_vocab_size", 32, vocab_size);
  }
  if (fields.find("unembedding") == nullptr) return;
  constexpr std::array<std::pair<const char*, bool>, 2> kUnembeddings = {{{"shared", false}, {"own", true}}};
  heads.own_unembedding = one_of(fields, "unembedding", kUnembeddings);
  if (heads.own_unembedding && heads.shared) {
    fields.fail("unembedding", "is \"own\", but one module makes all drafts; set it to \"shared\"");
  }
}

void read_taps(const JsonFields& fields, std::int32_t layers, HeadsConfig& heads) {
  const Json* const taps = fields.find("taps");
  if (taps == nullptr) return;
  if (!taps->is_array() || taps->size() > kMaxTaps) {
    fields.fail("taps", "is " + describe(*taps) + "; expected a list of at most 8 layers");
  }
  for (const Json& entry : *taps) {
    const auto layer = as_integer(entry, 0, layers - 1);
    if (!layer || (!heads.taps.empty() && *layer <= heads.taps.back())) {
      fields.fail("taps",
                  "holds " + describe(entry) + "; expected ascending layers below " + std::to_string(layers));
    }
    heads.taps.push_back(static_cast<std::int32_t>(*layer));
  }
}

void read_acceptance(const JsonFields& fields, HeadsConfig& heads) {
  const Json* const chances = fields.find("acceptance");
  if (chances == nullptr) return;
  if (!chances->is_array() || chances->size() != static_cast<std::size_t>(heads.count)) {
    fields.fail("acceptance", "is " + describe(*chances) + "; expected a list of count numbers, " +
                                  std::to_string(heads.count));
  }
  for (const Json& entry : *chances) {
    const double chance = entry.is_number() ? entry.get<double>() : -1.0;
    if (!(chance >= 0.0 && chance <= 1.0)) {
      fields.fail("acceptance", "holds " + describe(entry) + "; expected numbers from 0 to 1");
    }
    heads.acceptance.push_back(static_cast<float>(chance));
  }
}

void check_quantization(const JsonFields& fields) {
  if (fields.find("quantization") == nullptr) return;
  const JsonFields kinds = fields.object("quantization");
  kinds.allow_only({"heads", "unembed"});
  for (const char* const key : {"heads", "unembed"}) {
    if (kinds.find(key) != nullptr) check_kind(kinds, key);
  }
}

}  // namespace

HeadsConfig read_heads(const JsonFields& fields, const ModelConfig& trunk) {
  fields.allow_only({"preset", "count", "wiring", "body", "shared", "intermediate_size", "taps",
                     "draft_vocab_size", "unembedding", "output_norm", "window", "acceptance",
                     "quantization"});
  HeadsConfig heads;
  if (fields.find("preset") != nullptr) heads.preset = fields.string("preset");
  heads.count = static_cast<std::int32_t>(fields.integer("count", 1, kMaxHeads));
  read_body(fields, heads);
  read_taps(fields, trunk.layers, heads);
  read_unembedding(fields, trunk.vocab_size, heads);
  heads.output_norm = fields.boolean("output_norm", false);
  read_acceptance(fields, heads);
  check_quantization(fields);
  return heads;
}

}  // namespace mtp_rt::io
