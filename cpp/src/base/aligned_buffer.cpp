#include "base/aligned_buffer.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <new>

namespace mtp_rt {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

std::size_t to_pages(std::size_t bytes) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
}

std::byte* map(std::size_t bytes) {
  void* memory =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  return static_cast<std::byte*>(memory);
}

/// As map(), from the beginning of a huge page on, so that what is written takes no more of them than it
/// fills.
std::byte* map_aligned(std::size_t bytes) {
  std::byte* const memory = map(bytes + kHugePage);
  const std::size_t over = reinterpret_cast<std::uintptr_t>(memory) % kHugePage;
  const std::size_t before = over == 0 ? 0 : kHugePage - over;
  if (before > 0) munmap(memory, before);
  munmap(memory + before + bytes, kHugePage - before);
  return memory + before;
}

}  // namespace

AlignedBuffer::AlignedBuffer(std::size_t bytes, Pages pages) : bytes_(bytes) {
  if (bytes == 0) return;
  const bool huge = pages == Pages::huge && bytes >= kHugePage;
  mapped_ = to_pages(bytes);
  data_ = huge ? map_aligned(mapped_) : map(mapped_);
  // Advice only: other pages serve as well.
  madvise(data_, mapped_, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

AlignedBuffer::~AlignedBuffer() {
  if (data_ != nullptr) munmap(data_, mapped_);
}

}  // namespace mtp_rt
