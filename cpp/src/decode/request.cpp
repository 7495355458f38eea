#include <algorithm>
#include <string>

#include "mtp_rt/error.h"
#include "mtp_rt/sequence.h"

namespace mtp_rt {
namespace {

constexpr std::int32_t kMaxLogprobs = 20;

void check_ids(const char* field, std::span<const Token> ids, std::int32_t vocab_size) {
  const auto outside = std::ranges::find_if(ids, [=](Token id) { return id < 0 || id >= vocab_size; });
  if (outside == ids.end()) return;
  throw ArgumentError(std::string(field) + ": token " + std::to_string(*outside) + " at index " +
                      std::to_string(outside - ids.begin()) + " is outside the vocabulary of " +
                      std::to_string(vocab_size));
}

}  // namespace

void check(const Request& request, const EngineInfo& info) {
  if (request.prompt.empty()) throw ArgumentError("prompt: empty; at least one token is needed");
  check_ids("prompt", request.prompt, info.vocab_size);
  check_ids("stop_token_ids", request.stop_token_ids, info.vocab_size);
  check(request.params, info.vocab_size);
  if (request.max_tokens < 1) {
    throw ArgumentError("max_tokens: " + std::to_string(request.max_tokens) + " is below 1");
  }
  if (request.min_tokens < 0 || request.min_tokens > request.max_tokens) {
    throw ArgumentError("min_tokens: " + std::to_string(request.min_tokens) +
                        " is outside [0, max_tokens = " + std::to_string(request.max_tokens) + "]");
  }
  if (request.logprobs && (*request.logprobs < 0 || *request.logprobs > kMaxLogprobs)) {
    throw ArgumentError("logprobs: " + std::to_string(*request.logprobs) + " is outside [0, 20]");
  }
  if (!request.draft_source) static_cast<void>(make_draft_source(request.drafts, info));
  if (request.prompt.size() >= static_cast<std::size_t>(info.context)) {
    throw CapacityError("prompt: " + std::to_string(request.prompt.size()) +
                        " tokens do not fit a context of " + std::to_string(info.context) +
                        " with room for one more; shorten the prompt");
  }
}

std::string_view to_string(FinishReason reason) noexcept {
  switch (reason) {
    case FinishReason::stop:
      return "stop";
    case FinishReason::length:
      return "length";
    case FinishReason::cancelled:
      return "cancelled";
    case FinishReason::error:
      break;
  }
  return "error";
}

}  // namespace mtp_rt
