// The fake model on the fake GPU, with a loop over it.
#pragma once

#include <dlfcn.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "calls.h"
#include "fake_model.h"
#include "loop_text.h"
#include "mtp_rt/device_loop.h"
#include "tensorrt/entry.h"

namespace mtp_rt::cuda {

/// A device, plans and caches as an engine has them.
struct LoopModel {
  /// `heads`: the words of each depth's plan; those that are alike are one plan. `batch`: sequences that
  /// share a call, at most.
  LoopModel(const std::vector<std::string>& heads, std::int64_t stride, std::int32_t slots,
            std::int32_t batch = testing::kModelBatch) {
    device = open_plan_device(::dlopen(nullptr, RTLD_NOW));
    caches = device->make_caches(
        {testing::kModelMatrices, slots, testing::kModelHeads, testing::kModelPlaces, testing::kModelDim});
    model.cache_names = {{"past.0.key", "present.0.key"}, {"past.0.value", "present.0.value"}};
    verify = device->open_plan("verify.64.engine", plan_bytes("verify"), model.cache_names);
    model.slots = slots;
    model.context = testing::kModelContext;
    model.vocab = testing::kModelVocab;
    model.hidden = testing::kModelHidden;
    model.verify = verify.get();
    model.caches = caches.get();
    for (std::int32_t b = 1; b <= batch; ++b) {
      std::vector<std::int32_t>& profiles = model.verify_profiles.emplace_back();
      for (std::int32_t rows = 1; rows <= testing::kModelRows; ++rows)
        profiles.push_back(testing::profile_of(rows, b));
    }
    for (std::size_t i = 0; i < heads.size(); ++i) {
      if (i == 0 || heads[i] != heads[i - 1])
        opened.push_back(device->open_plan("draft.engine", plan_bytes(heads[i].c_str()), {}));
      model.heads.push_back({opened.back().get(), {}});
      for (std::int32_t b = 1; b <= batch; ++b)
        model.heads.back().profiles.push_back(testing::head_profile_of(b));
    }
    model.sequential = heads.empty() || !heads.front().starts_with("draft_all");
    for (std::int64_t id = 0; stride > 1 && id < testing::kModelVocab; id += stride)
      model.draft_ids.push_back(static_cast<Token>(id));
  }

  /// What an engine does with a prompt: all tokens but the last, one by one.
  void read(Slot slot, std::span<const Token> tokens) {
    const std::vector<std::string> names{"tokens", "positions", "lengths", "tree", "rows"};
    for (std::size_t i = 0; i + 1 < tokens.size(); ++i) {
      const std::int64_t values[] = {tokens[i], static_cast<std::int64_t>(i), static_cast<std::int64_t>(i), 1,
                                     0};
      const std::vector<std::vector<std::int64_t>> shapes{{1, 1}, {1, 1}, {1}, {1, 1, 1}, {1, 1}};
      std::vector<PlanInput> inputs;
      for (std::size_t k = 0; k < names.size(); ++k) inputs.push_back({names[k], shapes[k], &values[k]});
      verify->run({testing::profile_of(1), inputs, {}, caches.get(), slot, 1});
    }
  }

  /// Makes the loop. It is null until then.
  void start() { loop = device->make_loop(model); }

  /// Reads the text into the slot and admits it.
  void admit(Slot slot, const PlainText& plain) {
    read(slot, plain.text);
    loop->admit(slot, plain.request, plain.text);
  }

  std::unique_ptr<PlanDevice> device;
  std::unique_ptr<PlanCaches> caches;
  std::unique_ptr<Plan> verify;
  std::vector<std::unique_ptr<Plan>> opened;
  PlanLoopModel model;
  std::unique_ptr<DeviceLoop> loop;
};

/// A sequence with this prompt.
inline PlainText plain_text(const Tokens& prompt, std::int32_t max_tokens = 100) {
  PlainText plain;
  plain.request.prompt = prompt;
  plain.request.max_tokens = max_tokens;
  plain.text = prompt;
  return plain;
}

}  // namespace mtp_rt::cuda
