#include "io/protobuf.h"

#include <limits>

#include "mtp_rt/error.h"

namespace mtp_rt::io {
namespace {

enum WireType : std::uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

}  // namespace

bool ProtoMessage::next(ProtoField& field) {
  if (rest_.empty()) return false;
  const std::uint64_t key = number();
  if (key >> 3 == 0 || key > std::numeric_limits<std::uint32_t>::max()) fail();
  field = {static_cast<std::uint32_t>(key >> 3), ProtoType::number, 0, {}};
  switch (key & 7U) {
    case kVarint:
      field.value = number();
      break;
    case kFixed64:
    case kFixed32:
      field.type = ProtoType::fixed;
      static_cast<void>(take((key & 7U) == kFixed64 ? 8 : 4));
      break;
    case kBytes:
      field.type = ProtoType::bytes;
      field.bytes = take(number());
      break;
    default:
      fail();
  }
  return true;
}

std::uint64_t ProtoMessage::number() {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    const auto byte = std::to_integer<std::uint64_t>(take(1).front());
    value |= (byte & 0x7FU) << shift;
    if (byte < 0x80U) return value;
  }
  fail();
}

std::span<const std::byte> ProtoMessage::take(std::uint64_t size) {
  if (size > rest_.size()) fail();
  const std::span<const std::byte> taken = rest_.first(size);
  rest_ = rest_.subspan(size);
  return taken;
}

void ProtoMessage::fail() const {
  throw ModelFormatError(file_, "", "is not a valid ONNX graph; write it again with mtp-rt export --onnx");
}

}  // namespace mtp_rt::io
