// Engines and what can be measured on them.
#include "mtp_rt/engine.h"

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/bandwidth.h"
#include "bindings.h"
#include "engines/native/kernels/select.h"
#include "engines/timed.h"
#include "mtp_rt/error.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace mtp_rt::bindings {
namespace {

template <std::size_t kDims, typename Value>
using Array = nb::ndarray<nb::numpy, Value, nb::ndim<kDims>, nb::c_contig>;

template <std::size_t kDims, typename Value>
Array<kDims, Value> to_array(std::vector<Value>&& values, const std::array<std::size_t, kDims>& shape) {
  auto* owned = new std::vector<Value>(std::move(values));
  const nb::capsule owner(owned, [](void* p) noexcept { delete static_cast<std::vector<Value>*>(p); });
  return Array<kDims, Value>(owned->data(), kDims, shape.data(), owner);
}

// The rows of a verify call, given as columns of equal length.
std::vector<VerifyRow> rows_from(const std::vector<Slot>& slots, const std::vector<Token>& tokens,
                                 const std::vector<std::int32_t>& positions,
                                 const std::vector<std::int32_t>& parents,
                                 const std::vector<bool>& wants_logits,
                                 const std::vector<bool>& wants_state) {
  const std::size_t n = slots.size();
  if (tokens.size() != n || positions.size() != n || parents.size() != n || wants_logits.size() != n ||
      (!wants_state.empty() && wants_state.size() != n)) {
    throw ArgumentError("verify: slots, tokens, positions, parents and wants_* must have the same length");
  }
  std::vector<VerifyRow> rows(n);
  for (std::size_t i = 0; i < n; ++i) {
    rows[i] = {slots[i],   tokens[i],       positions[i],
               parents[i], wants_logits[i], !wants_state.empty() && wants_state[i]};
  }
  return rows;
}

// The rows of a draft call, given as columns of equal length.
std::vector<DraftRow> draft_rows(const std::vector<Slot>& slots, const std::vector<Token>& tokens,
                                 const std::vector<std::int32_t>& counts,
                                 const std::vector<std::int32_t>& widths,
                                 const std::vector<SamplingParams>& params) {
  const std::size_t n = slots.size();
  if (tokens.size() != n || counts.size() != n || widths.size() != n || params.size() != n) {
    throw ArgumentError("draft: slots, tokens, counts, widths and params must have the same length");
  }
  std::vector<DraftRow> rows(n);
  for (std::size_t i = 0; i < n; ++i) rows[i] = {slots[i], tokens[i], counts[i], widths[i], &params[i]};
  return rows;
}

nb::tuple draft(Engine& engine, const std::vector<Slot>& slots, const std::vector<Token>& tokens,
                const std::vector<std::int32_t>& counts, const std::vector<std::int32_t>& widths,
                const std::vector<SamplingParams>& params) {
  const std::vector<DraftRow> rows = draft_rows(slots, tokens, counts, widths, params);
  std::size_t candidates = 0;
  for (const DraftRow& row : rows) {
    if (row.count < 0 || row.count > engine.info().extra_heads || row.width < 0 ||
        row.width > kMaxDraftWidth) {
      continue;  // the engine refuses it
    }
    candidates += static_cast<std::size_t>(row.count) * static_cast<std::size_t>(row.width);
  }
  std::vector<Token> drafted(candidates);
  std::vector<float> chances(candidates);
  {
    const nb::gil_scoped_release release;
    engine.draft(rows, {drafted, chances});
  }
  return nb::make_tuple(to_array<1>(std::move(drafted), {candidates}),
                        to_array<1>(std::move(chances), {candidates}));
}

nb::tuple verify(Engine& engine, const std::vector<Slot>& slots, const std::vector<Token>& tokens,
                 const std::vector<std::int32_t>& positions, const std::vector<std::int32_t>& parents,
                 const std::vector<bool>& wants_logits, const std::vector<bool>& wants_state,
                 const std::vector<std::int32_t>& taps) {
  const std::vector<VerifyRow> rows = rows_from(slots, tokens, positions, parents, wants_logits, wants_state);
  const auto logit_rows =
      static_cast<std::size_t>(std::count(wants_logits.begin(), wants_logits.end(), true));
  const auto state_rows = static_cast<std::size_t>(std::count(wants_state.begin(), wants_state.end(), true));
  const auto vocab = static_cast<std::size_t>(engine.info().vocab_size);
  const auto hidden = static_cast<std::size_t>(engine.info().hidden_size);
  std::vector<float> logits(logit_rows * vocab);
  std::vector<float> states(state_rows * hidden);
  std::vector<float> tapped(state_rows * taps.size() * hidden);
  {
    const nb::gil_scoped_release release;
    engine.verify(rows, {logits, states, taps, tapped});
  }
  return nb::make_tuple(to_array<2>(std::move(logits), {logit_rows, vocab}),
                        to_array<2>(std::move(states), {state_rows, hidden}),
                        to_array<3>(std::move(tapped), {state_rows, taps.size(), hidden}));
}

void commit(Engine& engine, const std::vector<std::pair<Slot, std::vector<std::int32_t>>>& kept) {
  std::vector<KeptRows> rows;
  for (const auto& [slot, indices] : kept) rows.push_back({slot, indices});
  engine.commit(rows);
}

void bind_info(nb::module_& module) {
  nb::class_<EngineInfo>(module, "EngineInfo", "What a caller may rely on; known when the engine is open.")
      .def_ro("name", &EngineInfo::name)
      .def_ro("isa", &EngineInfo::isa)
      .def_ro("device", &EngineInfo::device)
      .def_ro("threads", &EngineInfo::threads)
      .def_ro("slots", &EngineInfo::slots)
      .def_ro("context", &EngineInfo::context)
      .def_ro("max_rows", &EngineInfo::max_rows)
      .def_ro("vocab_size", &EngineInfo::vocab_size)
      .def_ro("hidden_size", &EngineInfo::hidden_size)
      .def_ro("layers", &EngineInfo::layers)
      .def_ro("extra_heads", &EngineInfo::extra_heads)
      .def_ro("row_invariant", &EngineInfo::row_invariant)
      .def_ro("weight_bytes", &EngineInfo::weight_bytes)
      .def_ro("head_bytes", &EngineInfo::head_bytes)
      .def_ro("acceptance", &EngineInfo::acceptance);
}

std::shared_ptr<Engine> open(const std::string& model, const EngineOptions& options) {
  const nb::gil_scoped_release release;
  return open_engine(ModelDir::open(model), options);
}

}  // namespace

void bind_engine(nb::module_& module) {
  bind_info(module);
  nb::class_<Engine>(module, "Engine",
                     "A loaded model with a KV cache of `slots` sequences. Used by one thread at a time.\n\n"
                     "Every call leaves all slots as they were if it raises.")
      .def(nb::new_([](const std::string& model, const std::string& engine, const std::string& isa,
                       int threads, int slots, int context, int max_rows, std::optional<bool> two_stage_head,
                       const std::string& provider, const std::string& library) {
             return open(model,
                         {engine, isa, threads, slots, context, max_rows, two_stage_head, provider, library});
           }),
           "model"_a, nb::kw_only(), "engine"_a = "native", "isa"_a = "", "threads"_a = 0, "slots"_a = 1,
           "context"_a = 0, "max_rows"_a = 128, "two_stage_head"_a = nb::none(), "provider"_a = "cpu",
           "library"_a = "",
           "Open the model directory `model`. threads 0: one per core; context 0: the model's.\n"
           "provider: what engine 'onnxruntime' runs on, 'cpu' or 'cuda'. library: the shared library that "
           "it or 'tensorrt' "
           "opens.\n\n"
           "Raises:\n    ModelFormatError: a file is damaged.\n    UnsupportedError: the machine lacks what "
           "was asked for.\n"
           "    ArgumentError: an argument is out of range.")
      .def_prop_ro("info", &Engine::info, nb::rv_policy::reference_internal, "What a caller may rely on.")
      .def("length", &Engine::length, "slot"_a, "Committed positions of a slot.")
      .def("verify", &verify, "slots"_a, "tokens"_a, "positions"_a, "parents"_a, "wants_logits"_a,
           "wants_state"_a = std::vector<bool>{}, "taps"_a = std::vector<std::int32_t>{},
           "Run rows behind each slot's committed positions; nothing is committed.\n\n"
           "Returns float32 logits [rows wanting them, vocab], trunk states [rows wanting them, hidden] and "
           "tapped layers\n"
           "[rows wanting states, taps, hidden].")
      .def("commit", &commit, "kept"_a, "Keep rows of the last verify call: (slot, row indices) pairs.")
      .def("draft", &draft, "slots"_a, "tokens"_a, "counts"_a, "widths"_a, "params"_a,
           "Propose tokens with the extra heads, behind each slot's last committed token (given, not yet in "
           "the "
           "cache).\n\n"
           "Returns int32 tokens and float32 chances [sum of counts * widths]: row after row, depth after "
           "depth, "
           "best first.")
      .def("release", &Engine::release, "slot"_a, "Empty a slot.");
  module.def("available_isas", &native::available_isas,
             "Instruction sets this CPU can run, best first: a subset of avx512_vnni, avx2, generic.");
  module.def(
      "split_times",
      [](Engine& engine, int width, int context, int repeat, const std::vector<Token>& text) {
        const nb::gil_scoped_release release;
        return split_times(engine, width, context, repeat, text);
      },
      "engine"_a, "width"_a, "context"_a, "repeat"_a, "text"_a = std::vector<Token>{},

      "Median milliseconds of a verify call by phase: embed, qkv, attention, o, mlp, head, other; "
      "of engine 'onnxruntime': graph, other. Empties slot 0.");
  module.def("read_bandwidth", &read_bandwidth, "threads"_a, "seconds"_a = 0.2,
             nb::call_guard<nb::gil_scoped_release>(),
             "Streaming-read bandwidth of this machine in GB/s, measured now.");
}

}  // namespace mtp_rt::bindings
