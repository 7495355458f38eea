// Requests, events, the scheduler, and the measurements it lives on.
#include "mtp_rt/scheduler.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "bindings.h"
#include "mtp_rt/cost_curve.h"
#include "mtp_rt/error.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace mtp_rt::bindings {
namespace {

/// Python's integers are wide; what does not fit a Token cannot be one.
std::vector<Token> to_tokens(const char* field, const std::vector<std::int64_t>& ids) {
  std::vector<Token> tokens;
  tokens.reserve(ids.size());
  for (const std::int64_t id : ids) {
    if (id < 0 || id > std::numeric_limits<Token>::max()) {
      throw ArgumentError(std::string(field) + ": " + std::to_string(id) + " is not a token id");
    }
    tokens.push_back(static_cast<Token>(id));
  }
  return tokens;
}

Request make_request(const std::vector<std::int64_t>& prompt, const SamplingParams& params,
                     std::int32_t max_tokens, std::int32_t min_tokens,
                     const std::vector<std::int64_t>& stop_token_ids, std::optional<std::int32_t> logprobs,
                     const DraftOptions& drafts) {
  Request request;
  request.prompt = to_tokens("prompt", prompt);
  request.params = params;
  request.max_tokens = max_tokens;
  request.min_tokens = min_tokens;
  request.stop_token_ids = to_tokens("stop_token_ids", stop_token_ids);
  request.logprobs = logprobs;
  request.drafts = drafts;
  return request;
}

void bind_request(nb::module_& module) {
  nb::class_<DraftOptions>(module, "DraftOptions",
                           "How a request wants its drafts. No choice here changes a token.")
      .def(nb::new_(
               [](const std::string& source, std::int32_t max_drafts, bool adaptive, std::int32_t max_width) {
                 return DraftOptions{source, max_drafts, adaptive, max_width};
               }),
           nb::kw_only(), "source"_a = "auto", "max_drafts"_a = 7, "adaptive"_a = true, "max_width"_a = 0,
           "source: \"none\", \"lookup\", \"heads\" or \"auto\" (lookup, and heads where the model has "
           "them);\n"
           "max_drafts: 0 .. 15; adaptive: choose the number by measured cost and acceptance;\n"
           "max_width: 0 .. 8 tokens that a head may propose for one place (more than 1: a tree); 0: 3 if "
           "adaptive, else 1.")
      .def_ro("source", &DraftOptions::source)
      .def_ro("max_drafts", &DraftOptions::max_drafts)
      .def_ro("adaptive", &DraftOptions::adaptive)
      .def_ro("max_width", &DraftOptions::max_width);
  nb::class_<Request>(module, "Request", "What a caller asks for.")
      .def(nb::new_(&make_request), "prompt"_a, "params"_a, nb::kw_only(), "max_tokens"_a = 256,
           "min_tokens"_a = 0, "stop_token_ids"_a = std::vector<std::int64_t>{}, "logprobs"_a = nb::none(),
           "drafts"_a = DraftOptions{},
           "prompt: token ids; stop_token_ids: each ends the text and is its last token; min_tokens: stop "
           "tokens\n"
           "cannot be chosen before; logprobs: 0 .. 20 likeliest tokens with each token, None for none.\n"
           "Ranges are checked by Scheduler.submit.");
}

void bind_event(nb::module_& module) {
  nb::class_<TokenLogprob>(module, "TokenLogprob", "Log-probability of a token under the raw logits.")
      .def_ro("token", &TokenLogprob::token)
      .def_ro("logprob", &TokenLogprob::logprob, "Natural logarithm.")
      .def_ro("rank", &TokenLogprob::rank, "1: the most likely.");
  nb::class_<Stats>(module, "Stats", "Counters of one request.")
      .def_ro("prompt_tokens", &Stats::prompt_tokens)
      .def_ro("generated_tokens", &Stats::generated_tokens)
      .def_ro("steps", &Stats::steps, "Verify calls after prefill.")
      .def_ro("drafted_per_position", &Stats::drafted_per_position, "[k]: rounds that verified a draft k.")
      .def_ro("accepted_per_position", &Stats::accepted_per_position,
              "[k]: rounds whose draft k was accepted.")
      .def_ro("prefill_seconds", &Stats::prefill_seconds, "Submit to the first committed token.")
      .def_ro("decode_seconds", &Stats::decode_seconds, "First to last committed token.")
      .def_ro("drafted_by_source", &Stats::drafted_by_source, "Drafts verified, along the depth.")
      .def_ro("accepted_by_source", &Stats::accepted_by_source, "Drafts accepted.")
      .def_ro("draft_seconds", &Stats::draft_seconds, "Share of decode_seconds spent drafting.");
  nb::class_<Event>(module, "Event", "What one step committed for one request, or how it ended.")
      .def_ro("request", &Event::request)
      .def_prop_ro("tokens", [](const Event& event) { return event.commit.tokens; })
      .def_prop_ro(
          "logprobs", [](const Event& event) { return event.commit.logprobs; },
          "Per token: the chosen one, then the likeliest. Empty unless asked for.")
      .def_prop_ro(
          "finish_reason",
          [](const Event& event) -> std::optional<std::string> {
            if (!event.finish) return std::nullopt;
            return std::string(to_string(*event.finish));
          },
          "\"stop\", \"length\", \"cancelled\", \"error\", or None while it goes on.")
      .def_ro("error", &Event::error, "Why it failed, with the finish reason \"error\".")
      .def_ro("stats", &Event::stats, "With the finish.");
}

std::vector<double> time_slots(Engine& engine, std::int32_t width, std::int32_t context, std::int32_t repeat,
                               std::int32_t slots, const std::vector<Token>& text) {
  if (slots < 1 || slots > engine.info().slots) {
    throw ArgumentError("slots: " + std::to_string(slots) + " is outside [1, " +
                        std::to_string(engine.info().slots) + "]");
  }
  std::vector<Slot> used(static_cast<std::size_t>(slots));
  std::iota(used.begin(), used.end(), 0);
  const nb::gil_scoped_release release;
  return time_verify(engine, width, context, repeat, used, text);
}

void bind_measurements(nb::module_& module) {
  module.def("time_verify", &time_slots, "engine"_a, "width"_a, "context"_a, "repeat"_a, "slots"_a = 1,
             "text"_a = std::vector<Token>{},
             "Seconds of `repeat` verify calls of `width` rows per slot behind `context` committed tokens: "
             "those of\n"
             "`text`, and any where it ends. The slots are empty before and after.");
  module.def(
      "sample_text",
      [](Engine& engine, std::int32_t length) {
        const nb::gil_scoped_release release;
        return sample_text(engine, length, 0);
      },
      "engine"_a, "length"_a,
      "`length` tokens that the model writes itself in slot 0, sampled at temperature 1: text for "
      "measurements.");
  module.def(
      "measure_costs",
      [](Engine& engine, std::int32_t max_width) {
        const nb::gil_scoped_release release;
        return measure_costs(engine, max_width, 0);
      },
      "engine"_a, "max_width"_a = 16,
      "Milliseconds of verify calls of 1 .. max_width rows (fastest, interleaved) in slot 0, which is empty "
      "before\n"
      "and after: what Scheduler's verify_ms takes.");
  module.def(
      "measure_draft_costs",
      [](Engine& engine, std::int32_t max_slots) {
        std::vector<Slot> slots(static_cast<std::size_t>(std::clamp(max_slots, 0, engine.info().slots)));
        std::iota(slots.begin(), slots.end(), 0);
        const nb::gil_scoped_release release;
        return measure_draft_costs(engine, slots);
      },
      "engine"_a, "max_slots"_a = 8,
      "Milliseconds of one depth of draft calls of 1 .. max_slots slots (fastest, interleaved), which are "
      "empty\n"
      "before and after: what Scheduler's draft_ms takes. Empty without extra heads.");
}

}  // namespace

void bind_scheduler(nb::module_& module) {
  bind_request(module);
  bind_event(module);
  bind_measurements(module);
  nb::class_<Scheduler>(module, "Scheduler",
                        "Owns the loop over an engine: verify, pick, accept, commit, draft. Thread-safe.")
      .def(
          "__init__",
          [](Scheduler* self, std::shared_ptr<Engine> engine, std::int32_t prefill_chunk,
             const std::vector<double>& verify_ms, const std::vector<double>& draft_ms) {
            new (self) Scheduler(std::move(engine), {prefill_chunk, verify_ms, draft_ms, &Clock::now});
          },
          "engine"_a, nb::kw_only(), "prefill_chunk"_a = 128, "verify_ms"_a = std::vector<double>{},
          "draft_ms"_a = std::vector<double>{},
          "verify_ms[w - 1]: measured time of a verify call of w rows; empty: the first adaptive request "
          "measures.\n"
          "draft_ms[r - 1]: measured time of one depth of a draft call of r slots; empty: guessed.")
      .def("submit", &Scheduler::submit, "request"_a,
           "Queue a request; return its number.\n\n"
           "Raises:\n    ArgumentError: a field is out of range.\n    CapacityError: the prompt does not fit "
           "the context.\n"
           "    UnsupportedError: drafts by heads that the model does not have.")
      .def("cancel", &Scheduler::cancel, "request"_a,
           "End a request: its last event comes from the next run_once(). False if it is unknown or has "
           "ended.")
      .def(
          "run_once",
          [](Scheduler& self) {
            const nb::gil_scoped_release release;
            return self.run_once();
          },
          "One step of every running sequence; admits waiting requests first. Releases the GIL.")
      .def_prop_ro("running", &Scheduler::running, "Requests that hold a slot.")
      .def_prop_ro("waiting", &Scheduler::waiting, "Requests in the queue.");
}

}  // namespace mtp_rt::bindings
