// Sampling parameters and the choice of a token.
#include "mtp_rt/sampling.h"

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <map>
#include <optional>
#include <tuple>
#include <vector>

#include "bindings.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace mtp_rt::bindings {
namespace {

template <typename Value>
using Vector = nb::ndarray<const Value, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

SamplingParams make_params(float temperature, float top_p, std::int32_t top_k, float min_p,
                           float presence_penalty, float frequency_penalty, float repetition_penalty,
                           std::uint64_t seed, const std::map<Token, float>& logit_bias) {
  return {temperature,
          top_p,
          top_k,
          min_p,
          presence_penalty,
          frequency_penalty,
          repetition_penalty,
          seed,
          {logit_bias.begin(), logit_bias.end()}};
}

Token pick_token(const Vector<float>& logits, const SamplingParams& params, std::int64_t position,
                 const std::vector<std::tuple<Token, std::int32_t, std::int32_t>>& counts,
                 const std::optional<Vector<std::uint32_t>>& allowed) {
  check(params, static_cast<std::int32_t>(logits.size()));
  std::vector<TokenCount> entries;
  for (const auto& [token, in_prompt, generated] : counts) entries.push_back({token, in_prompt, generated});
  PickContext context;
  context.counts = entries;
  context.position = position;
  if (allowed) context.allowed = {allowed->data(), allowed->size()};
  return pick({logits.data(), logits.size()}, context, params);
}

}  // namespace

void bind_sampling(nb::module_& module) {
  nb::class_<SamplingParams>(module, "SamplingParams",
                             "Native sampling parameters; the public class is mtp_rt.SamplingParams.")
      .def(nb::new_(&make_params), nb::kw_only(), "temperature"_a = 0.0F, "top_p"_a = 1.0F, "top_k"_a = 0,
           "min_p"_a = 0.0F, "presence_penalty"_a = 0.0F, "frequency_penalty"_a = 0.0F,
           "repetition_penalty"_a = 1.0F, "seed"_a = 0, "logit_bias"_a = std::map<Token, float>{},
           "Names and meanings are vLLM's; ranges are checked where the parameters are used.");
  module.def("pick", &pick_token, "logits"_a, "params"_a, "position"_a,
             "counts"_a = std::vector<std::tuple<Token, std::int32_t, std::int32_t>>{},
             "allowed"_a = nb::none(),
             "The token chosen after a row with these logits.\n\n"
             "Args:\n    logits: float32 [vocab].\n    position: absolute index of the token being chosen.\n"
             "    counts: (token, times in the prompt, times generated), one entry per distinct token.\n"
             "    allowed: uint32 words; bit i of word i // 32 says whether token i may be chosen. None: all "
             "may.\n\n"
             "Raises:\n    EngineError: a logit is NaN or +infinity, or no token is allowed.\n"
             "    ArgumentError: a parameter or token is out of range.");
}

}  // namespace mtp_rt::bindings
