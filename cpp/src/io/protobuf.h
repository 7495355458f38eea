// The wire format of Protocol Buffers: the fields of one message, in order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace mtp_rt::io {

/// How a field is written. Where a message has it otherwise, parsers pass the field over.
enum class ProtoType : std::uint8_t { number, bytes, fixed };

/// A field as it stands in a message.
struct ProtoField {
  std::uint32_t number = 0;
  ProtoType type = ProtoType::number;
  std::uint64_t value = 0;           // of a number
  std::span<const std::byte> bytes;  // of a string, bytes, message or packed list

  [[nodiscard]] bool is(std::uint32_t wanted, ProtoType as = ProtoType::bytes) const noexcept {
    return number == wanted && type == as;
  }

  [[nodiscard]] std::string_view text() const noexcept {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
};

/// Reads one message of untrusted bytes.
class ProtoMessage {
 public:
  /// `file` stands for the file in messages.
  ProtoMessage(std::span<const std::byte> bytes, std::string file) : rest_(bytes), file_(std::move(file)) {}

  /// Goes to the next field; false at the end. Throws ModelFormatError where the bytes are no message.
  bool next(ProtoField& field);

  /// The next number of a packed list. Throws as next() does.
  [[nodiscard]] std::uint64_t number();

  [[nodiscard]] bool at_end() const noexcept { return rest_.empty(); }

 private:
  [[nodiscard]] std::span<const std::byte> take(std::uint64_t size);
  [[noreturn]] void fail() const;

  std::span<const std::byte> rest_;
  std::string file_;
};

}  // namespace mtp_rt::io
