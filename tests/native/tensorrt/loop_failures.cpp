// What the loop refuses, and what fails in it.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "expect.h"
#include "fake_cuda.h"
#include "loop_checks.h"
#include "loop_model.h"
#include "mtp_rt/error.h"

namespace mtp_rt::cuda {

using testing::model_faults;

/// A broken row ends its sequence alone; the neighbour's text goes on.
void check_broken_rows() {
  LoopModel model({"draft 0 1"}, 1, 3);
  model.start();
  PlainText plain = plain_text({1, 2}, 30);
  model.admit(0, plain_text({1, testing::kBrokenToken}));
  model.admit(1, plain);
  model.admit(2, plain_text({1, testing::kSilentToken}));
  const auto results =
      model.loop->step(std::vector<LoopRow>{{0, nullptr, 0, 1}, {1, nullptr, 0, 1}, {2, nullptr, 0, 1}});
  expect(results[0].error == "logits: a value is NaN or +infinity; the engine failed on this row", "NaN");
  expect(results[2].error == "logits: no token is allowed; every one is masked or -infinity", "-infinity");
  for (const std::size_t i : {std::size_t{0}, std::size_t{2}})
    expect(results[i].tokens.empty() && results[i].drafted.empty() && results[i].accepted == 0,
           "nothing else");
  expect(results[1].tokens == plain.take({}, 0) && !results[1].error && results[1].drafted.size() == 1,
         "the neighbour");
}

void check_refused_rows() {
  LoopModel model({"draft 0 1"}, 1, 3);
  model.start();
  const PlainText plain = plain_text({1, 2});
  DeviceLoop& loop = *model.loop;
  expect(!loop.holds(0) && !loop.holds(-1) && !loop.holds(3), "slots that hold nothing");
  model.admit(0, plain);
  expect(loop.holds(0) && !loop.holds(1), "a slot that holds a sequence");
  const DraftTree tree{{1, 2, 3}, {0, 1, 2}};
  const auto refused = [&](const std::string& field, const std::string& words, const LoopRow& row) {
    expect_error<ArgumentError>(field + ": ", words, [&] { static_cast<void>(loop.step({&row, 1})); });
  };
  refused("rows", "slot 1 holds no sequence", {1, nullptr, 0, 0});
  refused("rows", "slot 3 holds no sequence", {3, nullptr, 0, 0});
  refused("drafts", "8 of slot 0; 0 .. 7", {0, &tree, 8, 0});
  refused("drafts", "-1 of slot 0", {0, &tree, -1, 0});
  refused("drafts", "4 of slot 0, and its tree has 3", {0, &tree, 4, 0});
  refused("drafts", "1 of slot 0, and its tree has 0", {0, nullptr, 1, 0});
  refused("depths", "2 of slot 0; 0 .. 1", {0, nullptr, 0, 2});
  refused("depths", "-1 of slot 0", {0, nullptr, 0, -1});
  for (const Token token : {-1, testing::kModelVocab}) {
    const DraftTree wrong{{token}, {0}};
    refused("tree", "no token", {0, &wrong, 1, 0});
  }
  for (const std::int32_t parent : {-1, 2}) {
    const DraftTree wrong{{1, 2}, {0, parent}};
    refused("tree", "node 1", {0, &wrong, 2, 0});
  }
  const std::vector<LoopRow> twice{{0, nullptr, 0, 0}, {0, nullptr, 0, 0}};
  expect_error<ArgumentError>("rows: ", "slot 0 is there twice",
                              [&] { static_cast<void>(loop.step(twice)); });
  expect(loop.step({}).empty(), "no rows");

  Request request = plain.request;
  request.logprobs = 0;
  expect(loop.takes(plain.request) && !loop.takes(request), "logprobs are not taken");
  expect_error<UnsupportedError>("logprobs: ", "", [&] { loop.admit(1, request, plain.text); });
  request = plain.request;
  request.stop_token_ids.assign(kMaxStops + 1, 1);
  expect(!loop.takes(request), "too many stop tokens");
  expect_error<UnsupportedError>("", "stop tokens", [&] { loop.admit(1, request, plain.text); });
  expect_error<ArgumentError>("slot: 3", "0 .. 2", [&] { loop.admit(3, plain.request, plain.text); });
  expect_error<ArgumentError>("tokens: ", "", [&] { loop.admit(1, plain.request, {}); });
  expect(!loop.holds(1), "what was refused is not held");
  loop.release(0);
  loop.release(0);
  loop.release(-1);
  refused("rows", "slot 0 holds no sequence", {0, nullptr, 0, 0});
}

void check_refused_models() {
  LoopModel usual({"draft 0 1"}, 1, 2);
  const PlanLoopModel model = usual.model;
  const auto refused = [&](const std::string& begin, const std::string& words) {
    expect_error<ArgumentError>(begin, words, [&] { usual.start(); });
    usual.model = model;
  };
  usual.model.slots = 0;
  refused("model: ", "is 0");
  usual.model.slots = 3;
  refused("caches: ", "the loop needs 2 of 3 and 47");
  usual.model.context = 42;
  refused("caches: ", "needs 2 of 2 and 49");
  usual.model.cache_names.pop_back();
  refused("caches: ", "needs 1 of 2");
  usual.model.caches = nullptr;
  refused("caches: ", "not of this device");
  usual.model.verify = nullptr;
  refused("verify: ", "not of this device");
  usual.model.heads[0].plan = nullptr;
  refused("heads: ", "not of this device");
  usual.model.verify_profiles.clear();
  refused("verify_profiles: ", "none");
  usual.model.draft_ids = {3, 3};
  refused("draft_ids: ", "entry 1 is 3");
  usual.model.draft_ids = {testing::kModelVocab};
  refused("draft_ids: ", "entry 0");
  usual.model.draft_ids = {3, 4};
  expect_error<ModelFormatError>("draft.engine: logits: ", "export the plan again", [&] { usual.start(); });
  for (const char* name : {"tree", "state"}) {
    model_faults().without = name;
    LoopModel without({}, 1, 1);
    model_faults().without.clear();
    expect_error<ModelFormatError>(std::string("verify.64.engine: ") + name + ": ", "no such",
                                   [&] { without.start(); });
  }
  LoopModel other({"draft_all 1 1"}, 1, 1);
  other.model.heads.front().plan = usual.opened.front().get();
  expect_error<ModelFormatError>("draft.engine: logits: ", "no such", [&] { other.start(); });
  LoopModel attending({"draft 0 1"}, 1, 1);
  attending.model.heads.front().plan = attending.verify.get();
  attending.model.draft_ids.clear();
  expect_error<ModelFormatError>("verify.64.engine: state: ", "no such", [&] { attending.start(); });
}

/// What fails before a graph is captured, while it is and in it; afterwards the loop works again.
void check_loop_failures() {
  LoopModel model({"draft 0 1"}, 1, 1);
  model.start();
  PlainText plain = plain_text({1, 2}, 30);
  model.admit(0, plain);
  const std::vector<LoopRow> rows{{0, nullptr, 0, 1}};
  const auto step = [&] { return model.loop->step(rows).front(); };
  model_faults().fails = true;
  expect_error<EngineError>("verify.64.engine: ", "it does not run", step);
  model_faults().fails = false;
  model_faults().fails_in_capture = true;
  expect_error<EngineError>("verify.64.engine: ", "it does not run", step);
  model_faults().fails_in_capture = false;
  expect(step().tokens == plain.take({}, 0), "a step after failures");
  const std::size_t all = testing::gpu_free_bytes();
  testing::gpu_free_bytes() = 100;
  const std::vector<LoopRow> other{{0, nullptr, 0, 0}};
  expect(model.loop->step(other).front().tokens == plain.take({}, 0), "another shape needs no memory");
  expect_error<CapacityError>("the loop on the GPU: ", "out of memory",
                              [&] { static_cast<void>(model.device->make_loop(model.model)); });
  Request penalised = plain.request;
  penalised.params.presence_penalty = 1.0F;
  expect_error<CapacityError>("", "out of memory", [&] { model.loop->admit(0, penalised, plain.text); });
  expect(!model.loop->holds(0), "a sequence without memory is not held");
  testing::gpu_free_bytes() += all - 100;
}

}  // namespace mtp_rt::cuda
