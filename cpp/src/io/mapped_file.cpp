#include "io/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <system_error>

#include "mtp_rt/error.h"

namespace mtp_rt::io {
namespace {

[[noreturn]] void fail(const std::string& name, const std::string& problem) {
  throw ModelFormatError(name, "", problem);
}

std::string reason(int code) { return std::generic_category().message(code); }

const char* kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a named pipe";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

/// An open regular file.
class RegularFile {
 public:
  RegularFile(const std::filesystem::path& path, const std::string& name) {
    // O_NONBLOCK: opening a named pipe must not wait for its writer.
    do {
      descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    } while (descriptor_ < 0 && errno == EINTR);
    if (descriptor_ < 0) {
      const int code = errno;
      fail(name, "cannot be opened in " + path.parent_path().string() + " (" + reason(code) +
                     "); a model directory holds config.json and model.safetensors as readable files");
    }
    struct stat status{};
    if (::fstat(descriptor_, &status) != 0) {
      const int code = errno;
      ::close(descriptor_);
      fail(name, "cannot be examined (" + reason(code) + ")");
    }
    if (!S_ISREG(status.st_mode)) {
      ::close(descriptor_);
      fail(name, std::string("is ") + kind_of(status.st_mode) + "; expected a regular file");
    }
    size_ = static_cast<std::size_t>(status.st_size);
  }
  ~RegularFile() { ::close(descriptor_); }
  RegularFile(const RegularFile&) = delete;
  RegularFile& operator=(const RegularFile&) = delete;

  [[nodiscard]] int descriptor() const noexcept { return descriptor_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  int descriptor_ = -1;
  std::size_t size_ = 0;
};

}  // namespace

std::string read_text(const std::filesystem::path& path, const std::string& name, std::size_t limit) {
  const RegularFile file(path, name);
  if (file.size() > limit) {
    fail(name, "holds " + std::to_string(file.size()) + " bytes; at most " + std::to_string(limit) +
                   " are allowed");
  }
  std::string text(file.size(), '\0');
  std::size_t filled = 0;
  while (filled < text.size()) {
    const ssize_t count = ::read(file.descriptor(), text.data() + filled, text.size() - filled);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail(name, "cannot be read (" + reason(errno) + ")");
    if (count == 0) fail(name, "became shorter while it was read; write model directories by renaming");
    filled += static_cast<std::size_t>(count);
  }
  return text;
}

MappedFile::MappedFile(const std::filesystem::path& path, const std::string& name) {
  const RegularFile file(path, name);
  if (file.size() == 0) return;
  void* const address = ::mmap(nullptr, file.size(), PROT_READ, MAP_PRIVATE, file.descriptor(), 0);
  if (address == MAP_FAILED) {
    fail(name, "cannot be mapped (" + reason(errno) + "); the file has " + std::to_string(file.size()) +
                   " bytes: check the address space limit (ulimit -v)");
  }
  data_ = static_cast<const std::byte*>(address);
  size_ = file.size();
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::forget(std::span<const std::byte> part) const noexcept {
  if (part.empty()) return;
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto first = reinterpret_cast<std::uintptr_t>(part.data()) / page * page;
  const auto last = reinterpret_cast<std::uintptr_t>(part.data()) + part.size();
  ::madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

}  // namespace mtp_rt::io
