#include "io/safetensors.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <tuple>
#include <utility>

#include "io/checked.h"
#include "io/json_fields.h"
#include "mtp_rt/error.h"

namespace mtp_rt::io {
namespace {

constexpr std::size_t kLengthBytes = 8;
constexpr std::uint64_t kMaxHeader = 1U << 24;  // the largest model of the specification needs 3 MiB
constexpr std::size_t kMaxName = 256;
constexpr std::size_t kMaxDims = 8;
constexpr std::int64_t kMaxInteger = std::numeric_limits<std::int64_t>::max();

struct DTypeRow {
  DType dtype;
  const char* name;
  std::size_t size;
};
constexpr std::array<DTypeRow, 6> kDTypes = {{{DType::f32, "F32", 4},
                                              {DType::f16, "F16", 2},
                                              {DType::bf16, "BF16", 2},
                                              {DType::i32, "I32", 4},
                                              {DType::i8, "I8", 1},
                                              {DType::u8, "U8", 1}}};

const DTypeRow& row_of(DType dtype) noexcept { return *std::ranges::find(kDTypes, dtype, &DTypeRow::dtype); }

/// Reads one file's header; holds what every message needs.
class HeaderReader {
 public:
  HeaderReader(std::span<const std::byte> file, const std::string& name) : file_(file), name_(name) {}

  TensorTable read() {
    const Json header = parse_json_object(header_text(), name_, "header");
    TensorTable table;
    for (const auto& [tensor, value] : header.items()) {
      if (tensor == "__metadata__") {
        check_metadata(value);
      } else {
        table.emplace(tensor, read_tensor(tensor, value));
      }
    }
    check_tiling(table);
    return table;
  }

 private:
  [[noreturn]] void fail(const std::string& field, const std::string& problem) const {
    throw ModelFormatError(name_, field, problem);
  }

  std::string_view header_text() {
    if (file_.size() < kLengthBytes) {
      fail("header",
           "the file has " + std::to_string(file_.size()) + " bytes; a safetensors file has at least 8");
    }
    std::uint64_t length = 0;
    for (std::size_t i = 0; i < kLengthBytes; ++i) {
      length |= static_cast<std::uint64_t>(std::to_integer<unsigned char>(file_[i])) << (8 * i);
    }
    if (length > kMaxHeader) {
      fail("header", "claims " + std::to_string(length) + " bytes; at most " + std::to_string(kMaxHeader) +
                         " are allowed: not a safetensors file, or a damaged one");
    }
    const auto start = checked_add(kLengthBytes, length);
    if (!start || *start > file_.size()) {
      fail("header", "claims " + std::to_string(length) + " bytes in a file of " +
                         std::to_string(file_.size()) + ": truncated; fetch or write the model again");
    }
    data_start_ = static_cast<std::size_t>(*start);
    const std::string_view text(reinterpret_cast<const char*>(file_.data()) + kLengthBytes,
                                data_start_ - kLengthBytes);
    if (!text.starts_with('{')) fail("header", "does not start with '{': not a safetensors file");
    return text;
  }

  void check_metadata(const Json& value) const {
    const bool strings =
        value.is_object() && std::ranges::all_of(value, [](const Json& entry) { return entry.is_string(); });
    if (!strings) fail("__metadata__", "is not an object of strings");
  }

  StoredTensor read_tensor(const std::string& tensor, const Json& value) const {
    if (tensor.empty() || tensor.size() > kMaxName || !is_printable(tensor)) {
      fail("header",
           "names a tensor \"" + printable(tensor) + "\"; expected 1 to 256 printable ASCII characters");
    }
    if (!value.is_object()) fail(tensor, "is " + describe(value) + "; expected an object");
    for (const auto& [key, unused] : value.items()) {
      if (key != "dtype" && key != "shape" && key != "data_offsets") {
        fail(tensor, "has the unknown entry \"" + printable(key) + "\"");
      }
    }
    StoredTensor stored;
    stored.dtype = read_dtype(tensor, value);
    stored.shape = read_integers(tensor, value, "shape", 0, kMaxDims);
    const auto offsets = read_integers(tensor, value, "data_offsets", 2, 2);
    place(tensor, stored, static_cast<std::uint64_t>(offsets[0]), static_cast<std::uint64_t>(offsets[1]));
    return stored;
  }

  DType read_dtype(const std::string& tensor, const Json& value) const {
    const auto found = value.find("dtype");
    if (found == value.end()) fail(tensor, "has no dtype");
    const auto row = std::ranges::find_if(kDTypes, [&](const DTypeRow& r) { return *found == r.name; });
    if (row == kDTypes.end()) {
      fail(tensor, "has dtype " + describe(*found) + "; expected F32, F16, BF16, I32, I8 or U8");
    }
    return row->dtype;
  }

  std::vector<std::int64_t> read_integers(const std::string& tensor, const Json& value, const char* key,
                                          std::size_t least, std::size_t most) const {
    const auto found = value.find(key);
    if (found == value.end()) fail(tensor, std::string("has no ") + key);
    if (!found->is_array() || found->size() < least || found->size() > most) {
      fail(tensor, std::string(key) + " is not a list of " + std::to_string(least) + " to " +
                       std::to_string(most) + " integers");
    }
    std::vector<std::int64_t> numbers;
    for (const Json& entry : *found) {
      const auto number = as_integer(entry, 0, kMaxInteger);
      if (!number)
        fail(tensor, std::string(key) + " holds " + describe(entry) + "; expected an integer from 0");
      numbers.push_back(*number);
    }
    return numbers;
  }

  /// Turns offsets into the data section into a range of the file.
  void place(const std::string& tensor, StoredTensor& stored, std::uint64_t begin, std::uint64_t end) const {
    const std::uint64_t data_size = file_.size() - data_start_;
    if (begin > end) {
      fail(tensor, "data_offsets run backwards: " + std::to_string(begin) + " to " + std::to_string(end));
    }
    if (end > data_size) {
      fail(tensor, "ends at byte " + std::to_string(end) + " of " + std::to_string(data_size) +
                       ": truncated; fetch or write the model again");
    }
    const std::size_t size = element_size(stored.dtype);
    const auto elements = checked_product(stored.shape);
    const auto bytes = elements ? checked_multiply(*elements, size) : std::nullopt;
    if (!bytes || *bytes != end - begin) {
      fail(tensor, "owns " + std::to_string(end - begin) + " bytes; its shape needs " +
                       (bytes ? std::to_string(*bytes) : "more than any file has"));
    }
    stored.begin = data_start_ + static_cast<std::size_t>(begin);  // both are at most file_.size()
    stored.end = data_start_ + static_cast<std::size_t>(end);
    if (stored.begin % size != 0) {
      fail(tensor, "starts at byte " + std::to_string(stored.begin) +
                       " of the file, not a multiple of its element size, " + std::to_string(size) +
                       "; write the file again with mtp-rt");
    }
  }

  void check_tiling(const TensorTable& table) const {
    std::vector<const TensorTable::value_type*> order;
    for (const auto& entry : table) order.push_back(&entry);
    std::ranges::stable_sort(
        order, {}, [](const auto* entry) { return std::pair(entry->second.begin, entry->second.end); });
    std::size_t cursor = data_start_;
    for (const auto* const entry : order) {
      const auto& [tensor, stored] = *entry;
      if (stored.begin != cursor) {
        fail(tensor, stored.begin < cursor ? "overlaps the tensor before it" : "leaves a hole before it");
      }
      cursor = stored.end;
    }
    if (cursor != file_.size()) {
      fail("header",
           "leaves " + std::to_string(file_.size() - cursor) + " bytes at the end of the file to no tensor");
    }
  }

  std::span<const std::byte> file_;
  const std::string& name_;
  std::size_t data_start_ = 0;
};

}  // namespace

TensorTable parse_safetensors(std::span<const std::byte> file, const std::string& name) {
  return HeaderReader(file, name).read();
}

std::size_t element_size(DType dtype) noexcept { return row_of(dtype).size; }

const char* dtype_name(DType dtype) noexcept { return row_of(dtype).name; }

}  // namespace mtp_rt::io
