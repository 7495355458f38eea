// Where the time of a verify call goes.
#pragma once

#include <map>
#include <span>
#include <string>

#include "mtp_rt/engine.h"

namespace mtp_rt {

/// An engine that can say how its last verify call spent its time.
class Timed {
 public:
  virtual ~Timed() = default;
  Timed() = default;
  Timed(const Timed&) = delete;
  Timed& operator=(const Timed&) = delete;

  /// Seconds of the last verify call by phase. Engine "native": embed, qkv, attention, o, mlp, head, other;
  /// "onnxruntime" and "tensorrt": graph, other.
  [[nodiscard]] virtual std::map<std::string, double> seconds_by_phase() const = 0;
};

/// Median milliseconds by phase of `repeat` verify calls of `width` rows behind `context` committed positions
/// of slot 0, which is emptied; its tokens are those of `text`, and any where it ends. Throws
/// UnsupportedError if the engine is not Timed, ArgumentError on a number out of range.
[[nodiscard]] std::map<std::string, double> split_times(Engine& engine, int width, int context, int repeat,
                                                        std::span<const Token> text);

}  // namespace mtp_rt
