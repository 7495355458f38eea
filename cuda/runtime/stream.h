// Streams and captured graphs that end with their scope.
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

#include "runtime/error.h"

namespace mtp_rt::cuda {

struct DestroyStream {
  void operator()(cudaStream_t stream) const noexcept;
};
struct DestroyGraph {
  void operator()(cudaGraphExec_t graph) const noexcept;
};

/// A queue of work on the current GPU, independent of the default stream.
class Stream {
 public:
  Stream();
  [[nodiscard]] cudaStream_t get() const noexcept { return stream_.get(); }

  /// Waits until everything enqueued has run. Throws EngineError where something failed.
  void wait() const;

 private:
  std::unique_ptr<std::remove_pointer_t<cudaStream_t>, DestroyStream> stream_;
};

/// Waits for a stream when its scope ends, early or not: the GPU may still use memory of that scope.
class Settled {
 public:
  explicit Settled(cudaStream_t stream) : stream_(stream) {}
  Settled(const Settled&) = delete;
  Settled& operator=(const Settled&) = delete;
  ~Settled();

 private:
  cudaStream_t stream_;
};

/// Work that was enqueued once, launched as one.
class Graph {
 public:
  Graph() = default;

  /// Captures what `enqueue(stream)` enqueues; it may neither allocate nor wait.
  template <typename Enqueue>
  Graph(cudaStream_t stream, Enqueue&& enqueue) {
    check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "starting a capture");
    try {
      std::forward<Enqueue>(enqueue)(stream);
    } catch (...) {
      abandon(stream);
      throw;
    }
    finish(stream);
  }

  [[nodiscard]] explicit operator bool() const noexcept { return graph_ != nullptr; }
  void launch(cudaStream_t stream) const;

 private:
  static void abandon(cudaStream_t stream) noexcept;
  void finish(cudaStream_t stream);

  std::unique_ptr<std::remove_pointer_t<cudaGraphExec_t>, DestroyGraph> graph_;
};

}  // namespace mtp_rt::cuda
