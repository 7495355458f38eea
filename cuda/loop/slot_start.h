// What a request looks like in the loop's state when its sequence enters it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/step_types.h"
#include "mtp_rt/error.h"
#include "mtp_rt/sequence.h"
#include "sampling/token_score.h"

namespace mtp_rt::cuda {

/// A sequence's share of LoopState.
struct SlotStart {
  SlotState state;
  std::vector<Token> tokens;
  std::vector<Tally> counts;  // [vocab], empty without penalties
  std::vector<Token> stops;
  std::vector<Bias> bias;
};

/// DeviceLoop::takes() of loops over this state.
[[nodiscard]] inline bool state_takes(const Request& request) noexcept {
  return !request.logprobs && request.stop_token_ids.size() <= std::size_t{kMaxStops} &&
         request.params.logit_bias.size() <= std::size_t{kMaxBias};
}

/// How often each token stands in `prompt` and in what was generated.
inline std::vector<Tally> tally(std::span<const Token> prompt, std::span<const Token> generated,
                                std::int32_t vocab) {
  std::vector<Tally> counts(static_cast<std::size_t>(vocab));
  for (const Token token : prompt) ++counts[static_cast<std::size_t>(token)].in_prompt;
  for (const Token token : generated) ++counts[static_cast<std::size_t>(token)].generated;
  return counts;
}

/// `tokens` are all committed ones of the request, its prompt first; check(request, info) has passed.
/// Throws ArgumentError where nothing can follow them: none is there, the context is full or `max_tokens` are
/// generated; UnsupportedError where it has more stop tokens or biased tokens than the state holds.
inline SlotStart slot_start(const Request& request, std::span<const Token> tokens, std::int32_t vocab,
                            std::int32_t context) {
  const std::size_t prompt = request.prompt.size();
  const std::size_t held = tokens.size();
  if (held == 0 || held < prompt || held >= static_cast<std::size_t>(context) ||
      held - prompt >= static_cast<std::size_t>(request.max_tokens)) {
    throw ArgumentError("tokens: no room for one behind " + std::to_string(held) + ", " +
                        std::to_string(prompt) + " of them the prompt's, in a context of " +
                        std::to_string(context) + " and max_tokens of " + std::to_string(request.max_tokens));
  }
  const auto limit = [](std::size_t size, std::int32_t most, const char* what) {
    if (size <= static_cast<std::size_t>(most)) return;
    throw UnsupportedError("the loop on the GPU holds " + std::to_string(most) + " " + what +
                           "; the request has " + std::to_string(size));
  };
  limit(request.stop_token_ids.size(), kMaxStops, "stop tokens");
  limit(request.params.logit_bias.size(), kMaxBias, "entries of logit_bias");
  SlotStart start;
  start.tokens.assign(tokens.begin(), tokens.end());
  start.stops = request.stop_token_ids;
  for (const auto& [token, value] : request.params.logit_bias) start.bias.push_back({token, value});
  std::ranges::stable_sort(start.bias, {}, &Bias::token);
  SlotState& state = start.state;
  state.params = pick_params(request.params);
  state.length = static_cast<std::int32_t>(tokens.size());
  state.generated = static_cast<std::int32_t>(tokens.size() - request.prompt.size());
  state.max_tokens = request.max_tokens;
  state.min_tokens = request.min_tokens;
  state.stop_size = static_cast<std::int32_t>(start.stops.size());
  state.bias_size = static_cast<std::int32_t>(start.bias.size());
  state.ending = Ending::none;
  if (has_penalties(state.params)) {
    start.counts = tally(request.prompt, tokens.subspan(request.prompt.size()), vocab);
  }
  return start;
}

}  // namespace mtp_rt::cuda
