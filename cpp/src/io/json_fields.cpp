#include "io/json_fields.h"

#include <algorithm>
#include <array>
#include <limits>
#include <sstream>
#include <unordered_set>
#include <utility>
#include <vector>

#include "mtp_rt/error.h"

namespace mtp_rt::io {
namespace {

constexpr std::size_t kLongestEcho = 80;

/// A pass over the text that refuses what the grammar forbids and what it allows and we do not.
///
/// The library's own hook for this, a callback while it builds values, takes quadratic time on a long list.
class Screen final : public nlohmann::json_sax<Json> {
 public:
  Screen(const std::string& file, const std::string& field) : file_(file), field_(field) {}

  bool null() override { return true; }
  bool boolean(bool /*value*/) override { return true; }
  bool number_integer(std::int64_t /*value*/) override { return true; }
  bool number_unsigned(std::uint64_t /*value*/) override { return true; }
  bool number_float(double /*value*/, const std::string& /*text*/) override { return true; }
  bool string(std::string& /*value*/) override { return true; }
  bool binary(Json::binary_t& /*value*/) override { return true; }
  bool start_object(std::size_t /*size*/) override { return open(); }
  bool start_array(std::size_t /*size*/) override { return open(); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(std::string& name) override {
    if (!open_.back().insert(name).second) {
      fail(printable(name), "stands twice in one object; remove one of them");
    }
    return true;
  }

  bool parse_error(std::size_t position, const std::string& /*token*/,
                   const Json::exception& /*error*/) override {
    fail(field_, "is not valid JSON (at byte " + std::to_string(position) + ")");
  }

 private:
  bool open() {
    if (open_.size() == kMaxJsonDepth) {
      fail(field_, "is nested deeper than " + std::to_string(kMaxJsonDepth) + " levels");
    }
    open_.emplace_back();
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }
  [[noreturn]] void fail(const std::string& field, const std::string& problem) const {
    throw ModelFormatError(file_, field, problem);
  }

  const std::string& file_;
  const std::string& field_;
  std::vector<std::unordered_set<std::string>> open_;  // keys seen in each open object; empty for arrays
};

std::string shown(double number) {
  std::ostringstream text;
  text << number;
  return text.str();
}

}  // namespace

Json parse_json_object(std::string_view text, const std::string& file, const std::string& field) {
  const auto fail = [&](const std::string& problem) { throw ModelFormatError(file, field, problem); };
  // Every value but the first follows a comma or opens a container: this bounds memory before any is spent.
  if (std::ranges::count_if(text, [](char c) { return c == ',' || c == '[' || c == '{'; }) > kMaxJsonMarks) {
    fail("holds more than " + std::to_string(kMaxJsonMarks) + " commas and brackets");
  }
  // The parser takes a NUL for the end of the text and skips a byte order mark; JSON has neither.
  if (const auto nul = text.find('\0'); nul != std::string_view::npos) {
    fail("is not valid JSON: a NUL at byte " + std::to_string(nul));
  }
  if (text.starts_with("\xEF\xBB\xBF")) fail("is not valid JSON: starts with a byte order mark; remove it");
  Screen screen(file, field);
  Json::sax_parse(text.begin(), text.end(), &screen);
  Json value = Json::parse(text.begin(), text.end());
  if (!value.is_object()) fail("is " + describe(value) + "; expected a JSON object");
  return value;
}

bool is_printable(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c >= 0x20 && c <= 0x7E; });
}

std::string printable(std::string_view text) {
  std::string clean(text.substr(0, kLongestEcho));
  std::ranges::replace_if(clean, [](char c) { return !is_printable({&c, 1}); }, '?');
  return text.size() > kLongestEcho ? clean + "..." : clean;
}

std::string describe(const Json& value) {
  switch (value.type()) {
    case Json::value_t::object:
      return "an object";
    case Json::value_t::array:
      return "a list";
    case Json::value_t::string:
      return std::string("\"").append(printable(value.get_ref<const std::string&>())).append("\"");
    default:
      return printable(value.dump());
  }
}

std::optional<std::int64_t> as_integer(const Json& value, std::int64_t least, std::int64_t most) {
  if (!value.is_number_integer()) return std::nullopt;
  if (value.is_number_unsigned() &&
      value.get<std::uint64_t>() > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    return std::nullopt;
  }
  const auto number = value.get<std::int64_t>();
  if (number < least || number > most) return std::nullopt;
  return number;
}

JsonFields::JsonFields(const Json& object, std::string file, std::string path)
    : object_(object), file_(std::move(file)), path_(std::move(path)) {}

std::string JsonFields::full_name(std::string_view key) const {
  return path_.empty() ? std::string(key) : path_ + "." + std::string(key);
}

void JsonFields::fail(std::string_view key, const std::string& problem) const {
  throw ModelFormatError(file_, full_name(key), problem);
}

const Json* JsonFields::find(const char* key) const {
  const auto found = object_.find(key);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

const Json& JsonFields::get(const char* key) const {
  const Json* const value = find(key);
  if (value == nullptr) fail(key, "is missing");
  return *value;
}

std::int64_t JsonFields::integer(const char* key, std::int64_t least, std::int64_t most,
                                 std::optional<std::int64_t> fallback) const {
  if (fallback && find(key) == nullptr) return *fallback;
  const Json& value = get(key);
  const auto number = as_integer(value, least, most);
  if (!number) {
    fail(key, "is " + describe(value) + "; expected an integer from " + std::to_string(least) + " to " +
                  std::to_string(most));
  }
  return *number;
}

std::int32_t JsonFields::blocks_of_32(const char* key, std::int64_t least, std::int64_t most) const {
  const std::int64_t value = integer(key, least, most);
  if (value % 32 != 0) fail(key, "is " + std::to_string(value) + "; expected a multiple of 32");
  return static_cast<std::int32_t>(value);
}

double JsonFields::number(const char* key, double least, double most, std::optional<double> fallback) const {
  if (fallback && find(key) == nullptr) return *fallback;
  const Json& value = get(key);
  const double number = value.is_number() ? value.get<double>() : std::numeric_limits<double>::quiet_NaN();
  if (!(number >= least && number <= most)) {
    fail(key, "is " + describe(value) + "; expected a number from " + shown(least) + " to " + shown(most));
  }
  return number;
}

bool JsonFields::boolean(const char* key, bool fallback) const {
  const Json* const value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) fail(key, "is " + describe(*value) + "; expected true or false");
  return value->get<bool>();
}

std::string JsonFields::string(const char* key) const {
  const Json& value = get(key);
  if (!value.is_string()) fail(key, "is " + describe(value) + "; expected a string");
  return value.get<std::string>();
}

JsonFields JsonFields::object(const char* key) const {
  const Json& value = get(key);
  if (!value.is_object()) fail(key, "is " + describe(value) + "; expected an object");
  return {value, file_, full_name(key)};
}

void JsonFields::allow_only(std::initializer_list<std::string_view> keys) const {
  for (const auto& [key, value] : object_.items()) {
    if (std::ranges::find(keys, std::string_view(key)) == keys.end()) {
      fail(printable(key), "is not a field of this format version; remove it or update mtp-rt");
    }
  }
}

void check_kind(const JsonFields& fields, const char* key) {
  static constexpr std::array<std::string_view, 5> kKinds = {"f32", "bf16", "q8", "q4", "mixed"};
  const std::string kind = fields.string(key);
  if (std::ranges::find(kKinds, kind) == kKinds.end()) {
    fields.fail(key, "is \"" + printable(kind) + "\"; expected f32, bf16, q8, q4 or mixed");
  }
}

}  // namespace mtp_rt::io
