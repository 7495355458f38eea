// Regular files, read whole or mapped.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

namespace mtp_rt::io {

/// The bytes of a regular file of at most `limit` bytes.
///
/// `name` stands for the file in messages. Throws ModelFormatError if it is missing, unreadable, not a
/// regular file or larger.
[[nodiscard]] std::string read_text(const std::filesystem::path& path, const std::string& name,
                                    std::size_t limit);

/// A regular file mapped read-only.
///
/// The file must keep its size while mapped: the system answers a read behind the new end with SIGBUS.
/// Writers of model directories never change a file in place (they rename), so only a foreign tool can do
/// that.
class MappedFile {
 public:
  /// Throws ModelFormatError if the file is missing, unreadable or not a regular file. An empty file maps to
  /// an empty span.
  MappedFile(const std::filesystem::path& path, const std::string& name);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }

  /// Drops the pages that hold `part`, a range of bytes(), from this process; they are read again when
  /// touched.
  void forget(std::span<const std::byte> part) const noexcept;

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace mtp_rt::io
