// The execution providers that the engine can run on.
#pragma once

#include <string>
#include <string_view>

#include "engines/onnxruntime/library.h"

namespace mtp_rt::onnxruntime {

struct Provider {
  std::string_view option;  // in EngineOptions
  std::string_view name;    // as the library lists it
  const char* memory;       // the name of its device's memory; null: it computes in host memory
};

/// The provider of that option. Throws ArgumentError where mtp-rt knows none, UnsupportedError where the
/// library or this engine lacks it.
[[nodiscard]] const Provider& find_provider(const Library& library, const std::string& option);

/// Has a session run on the provider. Throws UnsupportedError where the machine lacks what it needs.
void append_provider(const Library& library, const Provider& provider, OrtSessionOptions* options);

/// Throws UnsupportedError: the provider cannot be used on this machine, in the library's words.
[[noreturn]] void refuse_provider(const Library& library, const Provider& provider,
                                  const std::string& message);

}  // namespace mtp_rt::onnxruntime
