// The bodies of the CUDA kernels, run on the host by threads that take turns.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <optional>
#include <tuple>
#include <vector>

#include "kernels/copy_rows.h"
#include "kernels/host_block.h"
#include "kernels/pick_body.h"
#include "sampling/token_score.h"
#include "testing/testing.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace mtp_rt::testing {
namespace {

using Logits = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Words = nb::ndarray<const std::uint32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

constexpr std::int32_t kMostThreads = 64;

template <std::int32_t kListed>
Token run_pick(const cuda::HostBlock& block, const cuda::PickRow& row, const cuda::PickParams& params) {
  const auto shared = std::make_unique<cuda::PickShared<kMostThreads, kListed>>();
  return cuda::pick_row(block, row, params, *shared);
}

/// `listed`: how many entries a search ranks at once; few make it go digit by digit.
Token device_pick(const Logits& logits, const SamplingParams& params, std::int64_t position,
                  const std::vector<std::tuple<Token, std::int32_t, std::int32_t>>& counts,
                  const std::vector<Token>& path, const std::vector<Token>& forbidden,
                  const std::optional<Words>& allowed, const std::vector<Token>& ids, std::int32_t threads,
                  std::int32_t listed, std::uint32_t order) {
  std::vector<cuda::Tally> tallies(logits.size());
  for (const auto& [token, in_prompt, generated] : counts) tallies.at(token) = {in_prompt, generated};
  std::vector<cuda::Bias> bias;
  for (const auto& [token, value] : params.logit_bias) bias.push_back({token, value});
  std::vector<float> scratch(logits.size());
  cuda::PickRow row;
  row.logits = logits.data();
  row.scratch = scratch.data();
  row.vocab = static_cast<std::int32_t>(logits.size());
  row.ids = ids.empty() ? nullptr : ids.data();
  row.position = position;
  row.counts = tallies.data();
  row.path = path.data();
  row.path_size = static_cast<std::int32_t>(path.size());
  row.bias = bias.data();
  row.bias_size = static_cast<std::int32_t>(bias.size());
  row.forbidden = forbidden.data();
  row.forbidden_size = static_cast<std::int32_t>(forbidden.size());
  row.allowed = allowed ? allowed->data() : nullptr;
  const cuda::HostBlock block(std::min(threads, kMostThreads), order);
  const cuda::PickParams plain = cuda::pick_params(params);
  return listed < 256 ? run_pick<4>(block, row, plain) : run_pick<256>(block, row, plain);
}

/// Moves the rows `kept` behind `place` of one slot of a cache [slots, heads, places, row bytes].
void device_move(const nb::ndarray<std::uint8_t, nb::ndim<4>, nb::c_contig, nb::device::cpu>& cache,
                 std::int32_t slot, std::int32_t place, std::vector<std::int32_t> kept) {
  void* matrix = cache.data();
  const auto size = [&](std::size_t axis) { return static_cast<std::int32_t>(cache.shape(axis)); };
  const cuda::CacheLayout layout{&matrix, 1, size(1), size(2), size(3)};
  cuda::StepRows rows;
  rows.batch = 1;
  rows.width = static_cast<std::int32_t>(kept.size());
  rows.slots = &slot;
  cuda::StepOutcome outcome;
  outcome.count = rows.width;
  outcome.place = place;
  outcome.last_row = kept.back();
  cuda::StepResults results;
  results.kept = kept.data();
  results.outcomes = &outcome;
  for (std::int32_t column = layout.heads * layout.row_bytes / 2; column-- > 0;) {
    cuda::move_column<std::uint16_t>(layout, rows, results, 0, 0, column);
  }
}

bool units_agree(const std::vector<float>& values) {
  for (const float z : values) {
    if (static_cast<double>(mass_units(z)) != mass(z) * 0x1p32) return false;
  }
  return true;
}

}  // namespace

void bind_device_kernels(nb::module_& module) {
  module.def("device_pick", &device_pick, "logits"_a, "params"_a, "position"_a, nb::kw_only(),
             "counts"_a = std::vector<std::tuple<Token, std::int32_t, std::int32_t>>{},
             "path"_a = std::vector<Token>{}, "forbidden"_a = std::vector<Token>{}, "allowed"_a = nb::none(),
             "ids"_a = std::vector<Token>{}, "threads"_a = 32, "listed"_a = 256, "order"_a = 1,
             "pick() as the kernel's block does it; -1: a broken row, -2: nothing is allowed.");
  module.def("device_move", &device_move, "cache"_a, "slot"_a, "place"_a, "kept"_a);
  module.def("mass_units_agree", &units_agree, "values"_a);
  module.def("may_reach", &may_reach, "z"_a, "needed"_a, "bits"_a);
}

}  // namespace mtp_rt::testing
