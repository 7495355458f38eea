// What ONNX Runtime made and takes back.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "engines/onnxruntime/library.h"

namespace mtp_rt::onnxruntime {

template <typename T>
using Owned = std::unique_ptr<T, void (*)(T*)>;

/// What `create` makes, given where to write its address. Throws as Library::check() does.
template <typename T, typename Create>
[[nodiscard]] Owned<T> make_owned(const Library& library, void (*release)(T*), const std::string& doing,
                                  Create&& create) {
  T* made = nullptr;
  library.check(std::forward<Create>(create)(&made), doing);
  return {made, release};
}

}  // namespace mtp_rt::onnxruntime
