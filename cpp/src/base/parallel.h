// A pool of threads that run the same function together, with barriers inside.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

namespace mtp_rt {

/// Cores this process may run on.
[[nodiscard]] int available_cores();

/// A half-open range of work items.
struct Range {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

/// Share `index` of `parts` near-equal shares of 0 .. count - 1: fixed, so that memory stays with its thread.
[[nodiscard]] constexpr Range share(std::int64_t count, int index, int parts) {
  return {count * index / parts, count * (index + 1) / parts};
}

/// `threads` threads, the caller being one, that run one function at a time.
///
/// Waiting threads spin, then yield, so that a core taken away costs one time slice; a pool without work
/// sleeps. Subnormal floats are zero in all of them while they run.
class ThreadPool {
 public:
  /// Throws std::system_error if a thread cannot be created.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  [[nodiscard]] int threads() const noexcept { return threads_; }

  /// Runs work(0) .. work(threads - 1) at once and returns when all have. `work` must not throw.
  void run(const std::function<void(int)>& work);

  /// Inside run(): waits until every thread has come here.
  void barrier() noexcept;

 private:
  void serve(int index);
  void stop() noexcept;

  int threads_;
  const std::function<void(int)>* work_ = nullptr;
  bool stopping_ = false;
  // Each counter on a cache line of its own: spinning on one must not slow the others.
  alignas(64) std::atomic<std::uint32_t> job_{0};
  alignas(64) std::atomic<std::uint32_t> arrived_{0};
  alignas(64) std::atomic<std::uint32_t> phase_{0};
  std::vector<std::thread> workers_;
};

}  // namespace mtp_rt
