#include "base/parallel.h"

#include <sched.h>
#include <xmmintrin.h>

#include <algorithm>

namespace mtp_rt {
namespace {

constexpr int kSpins = 30000;  // about 10 us: longer than most waits between phases
constexpr int kYieldsBeforeSleep = 2000;

// Treats subnormal inputs and results as zero for a scope.
class FlushSubnormals {
 public:
  FlushSubnormals() : saved_(_mm_getcsr()) { _mm_setcsr(saved_ | 0x8040U); }
  ~FlushSubnormals() { _mm_setcsr(saved_); }
  FlushSubnormals(const FlushSubnormals&) = delete;
  FlushSubnormals& operator=(const FlushSubnormals&) = delete;

 private:
  unsigned saved_;
};

// Returns once `counter` differs from `seen`.
void wait_for_change(const std::atomic<std::uint32_t>& counter, std::uint32_t seen) {
  for (int spins = 0; counter.load(std::memory_order_acquire) == seen; ++spins) {
    if (spins >= kSpins) sched_yield();
  }
}

// The same, falling asleep when nothing comes for some milliseconds.
void wait_for_job(const std::atomic<std::uint32_t>& counter, std::uint32_t seen) {
  for (int spins = 0; counter.load(std::memory_order_acquire) == seen; ++spins) {
    if (spins >= kSpins + kYieldsBeforeSleep) {
      counter.wait(seen, std::memory_order_acquire);
    } else if (spins >= kSpins) {
      sched_yield();
    }
  }
}

}  // namespace

int available_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

ThreadPool::ThreadPool(int threads) : threads_(threads) {
  workers_.reserve(static_cast<std::size_t>(threads - 1));
  try {
    for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { serve(i); });
  } catch (...) {
    stop();
    throw;
  }
}

ThreadPool::~ThreadPool() { stop(); }

void ThreadPool::stop() noexcept {
  stopping_ = true;
  job_.fetch_add(1, std::memory_order_release);
  job_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run(const std::function<void(int)>& work) {
  const FlushSubnormals flush;
  work_ = &work;
  job_.fetch_add(1, std::memory_order_release);
  job_.notify_all();
  work(0);
  barrier();
}

void ThreadPool::serve(int index) {
  const FlushSubnormals flush;
  for (std::uint32_t seen = 0;;) {
    wait_for_job(job_, seen);
    ++seen;
    if (stopping_) return;
    (*work_)(index);
    barrier();
  }
}

void ThreadPool::barrier() noexcept {
  const std::uint32_t phase = phase_.load(std::memory_order_relaxed);
  const auto last = static_cast<std::uint32_t>(threads_ - 1);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) == last) {
    arrived_.store(0, std::memory_order_relaxed);
    phase_.store(phase + 1, std::memory_order_release);
  } else {
    wait_for_change(phase_, phase);
  }
}

}  // namespace mtp_rt
