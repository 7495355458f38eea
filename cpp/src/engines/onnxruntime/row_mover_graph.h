// The graph that moves rows of caches, as the bytes of an ONNX model.
#pragma once

#include <string>

namespace mtp_rt::onnxruntime {

/// moved = TensorScatter(to, Gather(from, places, axis 2), base): the places of every head of `from`
/// float32 [1, heads, places, size], written to base, base + 1, ... of `to`. `places` is int64 [n], `base`
/// int64 [1].
[[nodiscard]] std::string row_mover_graph();

}  // namespace mtp_rt::onnxruntime
