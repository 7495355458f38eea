// A graph that is open in ONNX Runtime, and what its inputs and outputs must be.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engines/graphs/graph.h"
#include "engines/onnxruntime/library.h"
#include "io/onnx_file.h"

namespace mtp_rt::onnxruntime {

/// What ONNX Runtime made and takes back.
template <typename T>
using Owned = std::unique_ptr<T, void (*)(T*)>;

[[nodiscard]] ElementType element_type(graphs::NumberType type) noexcept;

/// The environment and options that all graphs of an engine share.
class Runtime {
 public:
  Runtime(const std::string& library, const std::string& provider, int threads);

  [[nodiscard]] const Library& library() const noexcept { return library_; }
  [[nodiscard]] const OrtApi& api() const noexcept { return library_.api(); }
  [[nodiscard]] const OrtEnv* env() const noexcept { return env_.get(); }
  [[nodiscard]] int threads() const noexcept { return threads_; }

  /// Memory of ours as a tensor.
  [[nodiscard]] Owned<OrtValue> tensor(void* data, std::size_t bytes, std::span<const std::int64_t> shape,
                                       ElementType type) const;

 private:
  Library library_;
  int threads_;
  Owned<OrtEnv> env_;
  Owned<OrtMemoryInfo> memory_;
};

/// Opens a checked graph. Throws ModelFormatError naming `file` if ONNX Runtime refuses it or its inputs and
/// outputs are not those given, UnsupportedError for operators that this ONNX Runtime lacks.
[[nodiscard]] Owned<OrtSession> open_session(const Runtime& runtime, const io::OnnxFile& graph,
                                             const std::string& file, std::span<const graphs::Tensor> inputs,
                                             std::span<const graphs::Tensor> outputs);

}  // namespace mtp_rt::onnxruntime
