#include "base/bandwidth.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/parallel.h"
#include "mtp_rt/error.h"

namespace mtp_rt {
namespace {

constexpr std::size_t kBytes = std::size_t{256} << 20;  // well beyond any cache in use

// Reads every cache line of `words` once; independent sums keep several lines in flight.
std::uint64_t read_all(std::span<const std::uint64_t> words) {
  std::uint64_t sums[8] = {};
  for (std::size_t i = 0; i + 8 <= words.size(); i += 8) {
    for (std::size_t j = 0; j < 8; ++j) sums[j] += words[i + j];
  }
  std::uint64_t total = 0;
  for (const std::uint64_t s : sums) total += s;
  return total;
}

}  // namespace

double read_bandwidth(int threads, double seconds) {
  if (threads < 1 || threads > 256)
    throw ArgumentError("threads is " + std::to_string(threads) + "; expected 1 .. 256");
  if (!(seconds >= 0.01 && seconds <= 60.0)) throw ArgumentError("seconds must lie in 0.01 .. 60");
  const AlignedBuffer memory(kBytes);
  const std::span<std::uint64_t> words = memory.as<std::uint64_t>();
  ThreadPool pool(threads);
  std::vector<std::uint64_t> totals(static_cast<std::size_t>(threads) * 8);
  const auto part = [&](int thread) {
    const Range r = share(static_cast<std::int64_t>(words.size()), thread, threads);
    return words.subspan(static_cast<std::size_t>(r.begin), static_cast<std::size_t>(r.end - r.begin));
  };
  pool.run([&](int thread) { std::ranges::fill(part(thread), 1U); });
  using Clock = std::chrono::steady_clock;
  double best = 0.0;
  const auto start = Clock::now();
  do {
    const auto before = Clock::now();
    pool.run([&](int thread) { totals[static_cast<std::size_t>(thread) * 8] += read_all(part(thread)); });
    const double nanoseconds = std::chrono::duration<double, std::nano>(Clock::now() - before).count();
    best = std::max(best, static_cast<double>(kBytes) / nanoseconds);
  } while (std::chrono::duration<double>(Clock::now() - start).count() < seconds);
  if (totals.front() == 0) throw EngineError("read_bandwidth: memory was not read");
  return best;
}

}  // namespace mtp_rt
