#include "engines/engine_info.h"

#include <algorithm>
#include <utility>

#include "base/parallel.h"
#include "engines/call_checks.h"

namespace mtp_rt {
namespace {

constexpr int kMaxThreads = 256;
constexpr int kMaxSlots = 4096;
constexpr int kMaxRows = 4096;

int thread_count(int wanted) {
  return wanted == 0 ? std::min(available_cores(), kMaxThreads) : in_range("threads", wanted, 1, kMaxThreads);
}

}  // namespace

EngineInfo make_engine_info(std::string name, std::string device, const ModelConfig& config,
                            const EngineOptions& options) {
  EngineInfo info;
  info.name = std::move(name);
  info.device = std::move(device);
  info.threads = thread_count(options.threads);
  info.slots = in_range("slots", options.slots, 1, kMaxSlots);
  info.context =
      options.context == 0 ? config.context : in_range("context", options.context, 1, config.context);
  info.max_rows = in_range("max_rows", options.max_rows, 1, kMaxRows);
  info.vocab_size = config.vocab_size;
  info.hidden_size = config.hidden_size;
  info.layers = config.layers;
  return info;
}

}  // namespace mtp_rt
