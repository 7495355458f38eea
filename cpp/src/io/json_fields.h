// Fields of JSON text that nobody vouches for: every failure names the file and the field.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace mtp_rt::io {

using Json = nlohmann::json;

inline constexpr std::size_t kMaxJsonDepth = 64;
inline constexpr std::ptrdiff_t kMaxJsonMarks = 1 << 18;  // commas and opening brackets in one text

/// Parses one JSON object.
///
/// Throws ModelFormatError(file, field, ...) if the text is not JSON, not an object, nested deeper than
/// kMaxJsonDepth, holds more than kMaxJsonMarks commas and brackets, or has a key twice in one object.
[[nodiscard]] Json parse_json_object(std::string_view text, const std::string& file,
                                     const std::string& field);

/// Whether `text` is printable ASCII throughout.
[[nodiscard]] bool is_printable(std::string_view text);

/// `text` as it may stand in a message: printable ASCII, others as '?', at most 80 characters.
[[nodiscard]] std::string printable(std::string_view text);

/// What stands in a field, for messages: a number as written, a quoted string, "a list".
[[nodiscard]] std::string describe(const Json& value);

/// Typed access to the fields of one object. A field that holds null counts as absent.
///
/// Getters without a fallback throw ModelFormatError when the field is absent; all throw it when the field
/// has another type or lies outside the range.
class JsonFields {
 public:
  /// `path` is the object's own name ("" at the top): its fields are called "path.key".
  JsonFields(const Json& object, std::string file, std::string path);

  [[nodiscard]] const Json* find(const char* key) const;
  [[nodiscard]] const Json& get(const char* key) const;
  [[nodiscard]] std::int64_t integer(const char* key, std::int64_t least, std::int64_t most,
                                     std::optional<std::int64_t> fallback = std::nullopt) const;
  /// The same, a multiple of 32: what the kernels' blocks need.
  [[nodiscard]] std::int32_t blocks_of_32(const char* key, std::int64_t least, std::int64_t most) const;
  [[nodiscard]] double number(const char* key, double least, double most,
                              std::optional<double> fallback = std::nullopt) const;
  [[nodiscard]] bool boolean(const char* key, bool fallback) const;
  [[nodiscard]] std::string string(const char* key) const;
  [[nodiscard]] JsonFields object(const char* key) const;

  /// Throws ModelFormatError naming the first key that is none of `keys`.
  void allow_only(std::initializer_list<std::string_view> keys) const;

  [[noreturn]] void fail(std::string_view key, const std::string& problem) const;
  [[nodiscard]] std::string full_name(std::string_view key) const;
  [[nodiscard]] const std::string& file() const noexcept { return file_; }

 private:
  const Json& object_;  // borrowed
  std::string file_;
  std::string path_;
};

/// Demands that the string `key` names a kind of stored matrices: f32, bf16, q8, q4 or mixed.
void check_kind(const JsonFields& fields, const char* key);

/// `value` as an integer within [least, most]; nothing if it is another type or outside.
[[nodiscard]] std::optional<std::int64_t> as_integer(const Json& value, std::int64_t least,
                                                     std::int64_t most);

}  // namespace mtp_rt::io
