// A fake engine and scripted drafts to run the loop on.
#include <nanobind/nanobind.h>
#include <nanobind/stl/function.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/vector.h>

#include <chrono>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "mtp_rt/scheduler.h"
#include "testing/fake_engine.h"
#include "testing/scripted_source.h"
#include "testing/testing.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace mtp_rt::testing {
namespace {

void bind_fake_engine(nb::module_& module) {
  nb::class_<FakeEngine, Engine>(module, "FakeEngine",
                                 "Logits are a hash of the committed text and the row's path.")
      .def(
          "__init__",
          [](FakeEngine* self, std::int32_t slots, std::int32_t context, std::int32_t max_rows,
             std::int32_t vocab_size, std::int32_t order, std::int32_t fail_verify_at,
             std::int32_t fail_commit_at, std::int32_t fail_release_at, std::int32_t nan_at,
             std::int32_t nan_slot, std::int32_t extra_heads, std::int32_t fail_draft_at) {
            new (self)
                FakeEngine({slots, context, max_rows, vocab_size, order, fail_verify_at, fail_commit_at,
                            fail_release_at, nan_at, nan_slot, extra_heads, fail_draft_at});
          },
          nb::kw_only(), "slots"_a = 1, "context"_a = 4096, "max_rows"_a = 64, "vocab_size"_a = 64,
          "order"_a = 0, "fail_verify_at"_a = 0, "fail_commit_at"_a = 0, "fail_release_at"_a = 0,
          "nan_at"_a = 0, "nan_slot"_a = 0, "extra_heads"_a = 0, "fail_draft_at"_a = 0)
      .def("set_verify_ms", &FakeEngine::set_verify_ms, "times"_a,
           "Let calls of w rows take times[w - 1] milliseconds of the engine's own time.")
      .def("set_draft_ms", &FakeEngine::set_draft_ms, "times"_a,
           "Let each depth of a draft call of r slots take times[r - 1] milliseconds of it.")
      .def("set_heads", &FakeEngine::set_heads, "heads"_a, "acceptance"_a = std::vector<float>{},
           "Let heads(text, count, width) give the (token, chance) pairs that are drafted behind a text.")
      .def_prop_ro("verify_calls", &FakeEngine::verify_calls)
      .def_prop_ro("most_rows", &FakeEngine::most_rows)
      .def_prop_ro("draft_calls", &FakeEngine::draft_calls)
      .def_prop_ro("drafted", &FakeEngine::drafted, "Depths drafted in all calls.")
      .def_prop_ro("candidates", &FakeEngine::candidates, "Candidates for them.")
      .def_prop_ro(
          "seconds",
          [](const FakeEngine& engine) {
            return std::chrono::duration<double>(engine.now().time_since_epoch()).count();
          },
          "The engine's own time.");
}

std::shared_ptr<Scheduler> make_scheduler(const std::shared_ptr<FakeEngine>& engine,
                                          std::int32_t prefill_chunk, const std::vector<double>& verify_ms,
                                          const std::vector<double>& draft_ms) {
  return std::make_shared<Scheduler>(
      engine, StepperOptions{prefill_chunk, verify_ms, draft_ms, [engine] { return engine->now(); }});
}

void script(Request& request, std::vector<Token> reference, double acceptance, bool tree, std::uint64_t seed,
            std::int32_t vocab_size) {
  request.draft_source =
      std::make_shared<ScriptedSource>(std::move(reference), acceptance, tree, seed, vocab_size);
}

}  // namespace

void bind_fakes(nb::module_& module) {
  bind_fake_engine(module);
  module.def("scheduler", &make_scheduler, "engine"_a, nb::kw_only(), "prefill_chunk"_a = 128,
             "verify_ms"_a = std::vector<double>{}, "draft_ms"_a = std::vector<double>{},
             "A scheduler whose clock is the fake engine's own time.");
  module.def("script", &script, "request"_a, "reference"_a, nb::kw_only(), "acceptance"_a, "tree"_a = false,
             "seed"_a = 0, "vocab_size"_a = 64,
             "Let a request take its drafts from a script around `reference`, prompt included.");
}

}  // namespace mtp_rt::testing
