// Penalties, bias and mask: what happens to a row's logits before anything is chosen.
#pragma once

#include <cstdint>

#include "base/host_device.h"
#include "kernels/pick_types.h"
#include "kernels/score_row.h"

namespace mtp_rt::cuda {

/// The logits to pick from: `row.logits` themselves, or `row.scratch` with all changes.
template <typename Block>
MTP_RT_DEVICE const float* adjust(const Block& block, const PickRow& row, const PickParams& params) {
  const bool penalties = has_penalties(params) && row.counts != nullptr;
  if (!penalties && row.bias_size == 0 && row.forbidden_size == 0 && row.allowed == nullptr)
    return row.logits;
  const auto penalty = [&](Token token, std::int32_t more) {
    const Tally tally = row.counts[token];
    return penalised(row.logits[token], tally.in_prompt, tally.generated + more, params.repetition_penalty,
                     params.frequency_penalty, params.presence_penalty);
  };
  block.phase([&](std::int32_t thread) {
    for (std::int32_t i = thread; i < row.vocab; i += block.threads()) {
      row.scratch[i] = penalties ? penalty(i, 0) : row.logits[i];
    }
  });
  if (penalties && row.path_size > 0) {
    block.phase([&](std::int32_t thread) {
      for (std::int32_t i = thread; i < row.path_size; i += block.threads()) {
        std::int32_t times = 0;
        std::int32_t first = i;
        for (std::int32_t j = row.path_size - 1; j >= 0; --j) {
          if (row.path[j] != row.path[i]) continue;
          first = j;
          ++times;
        }
        // A token's first place on the path takes care of it.
        if (first == i) row.scratch[row.path[i]] = penalty(row.path[i], times);
      }
    });
  }
  if (row.bias_size > 0) {
    block.phase([&](std::int32_t thread) {
      for (std::int32_t i = thread; i < row.bias_size; i += block.threads()) {
        const Token token = row.bias[i].token;
        if (i > 0 && row.bias[i - 1].token == token) continue;
        float logit = row.scratch[token];
        for (std::int32_t j = i; j < row.bias_size && row.bias[j].token == token; ++j)
          logit += row.bias[j].value;
        row.scratch[token] = logit;
      }
    });
  }
  block.phase([&](std::int32_t thread) {
    for (std::int32_t i = thread; i < row.forbidden_size; i += block.threads()) {
      row.scratch[row.forbidden[i]] = -kInfinity;
    }
    for (std::int32_t i = thread; row.allowed != nullptr && i < row.vocab; i += block.threads()) {
      if ((row.allowed[i / 32] >> (i % 32) & 1U) == 0) row.scratch[i] = -kInfinity;
    }
  });
  return row.scratch;
}

}  // namespace mtp_rt::cuda
