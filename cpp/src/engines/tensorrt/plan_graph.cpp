#include "engines/tensorrt/plan_graph.h"

#include <algorithm>
#include <array>
#include <string>

#include "mtp_rt/error.h"

namespace mtp_rt::tensorrt {
namespace {

using graphs::NumberType;
using graphs::Tensor;

constexpr std::array<std::int64_t, 1> kFirstRow = {0};

cuda::PlanType plan_type(NumberType type) {
  switch (type) {
    case NumberType::f32:
      return cuda::PlanType::f32;
    case NumberType::i64:
      return cuda::PlanType::i64;
    case NumberType::boolean:
      return cuda::PlanType::boolean;
  }
  return cuda::PlanType::other;
}

/// Keys and values of each layer, in the order of the caches' matrices.
std::vector<cuda::PlanCacheNames> names_of(const graphs::GraphCaches& caches) {
  std::vector<cuda::PlanCacheNames> names;
  for (const int layer : caches.layers) {
    for (const bool values : {false, true}) {
      names.push_back({graphs::cache_name(caches, "past", layer, values),
                       graphs::cache_name(caches, "present", layer, values)});
    }
  }
  return names;
}

/// All inputs and outputs that the plan must have, sizes that a call decides as -1.
std::vector<cuda::PlanTensor> expected_tensors(const graphs::Signature& signature,
                                               const graphs::GraphCaches& caches, std::int32_t capacity) {
  std::vector<cuda::PlanTensor> expected;
  const auto add = [&expected](const std::vector<Tensor>& tensors, bool is_input) {
    for (const Tensor& tensor : tensors) {
      cuda::PlanTensor plain{tensor.name, is_input, plan_type(tensor.type), tensor.shape};
      for (std::int64_t& size : plain.shape) size = std::max<std::int64_t>(size, -1);
      expected.push_back(std::move(plain));
    }
  };
  add(signature.inputs, true);
  add(signature.outputs, false);
  const std::vector<std::int64_t> shape = {-1, caches.kv_heads, capacity, caches.head_dim};
  for (const cuda::PlanCacheNames& names : names_of(caches)) {
    expected.push_back({names.past, true, cuda::PlanType::f16, shape});
    expected.push_back({names.present, false, cuda::PlanType::f16, shape});
  }
  return expected;
}

/// A plan may know a size of an output that a call decides elsewhere.
bool fits(const cuda::PlanTensor& found, const cuda::PlanTensor& expected) {
  return found.is_input == expected.is_input && found.type == expected.type &&
         std::ranges::equal(found.shape, expected.shape, [](std::int64_t is, std::int64_t wanted) {
           return wanted == -1 || is == wanted;
         });
}

void check_tensors(const std::string& file, const std::vector<cuda::PlanTensor>& found,
                   const std::vector<cuda::PlanTensor>& expected) {
  const auto refuse = [&file](const std::string& problem) {
    throw ModelFormatError(file, "", problem + ", which plans of this model do not; export again");
  };
  for (const cuda::PlanTensor& tensor : found) {
    const auto same = std::ranges::find(expected, tensor.name, &cuda::PlanTensor::name);
    if (same == expected.end()) refuse("has the tensor '" + tensor.name + "'");
    if (!fits(tensor, *same)) refuse("has another type or shape of '" + tensor.name + "'");
  }
  for (const cuda::PlanTensor& tensor : expected) {
    if (std::ranges::find(found, tensor.name, &cuda::PlanTensor::name) == found.end())
      refuse("lacks the tensor '" + tensor.name + "'");
  }
}

bool counts_rows(const Tensor& tensor) {
  return std::ranges::find(tensor.shape, graphs::kRows) != tensor.shape.end();
}

/// A tensor's share of a call of one slot.
struct Share {
  std::vector<std::int64_t> shape;
  std::byte* data = nullptr;
  std::size_t bytes = 0;
};

Share share_of(const Tensor& tensor, int width, int first_row, int rows) {
  Share share{graphs::shape_in_call(tensor, width, rows, 0), static_cast<std::byte*>(tensor.data),
              graphs::number_size(tensor.type)};
  for (const std::int64_t size : share.shape) share.bytes *= static_cast<std::size_t>(size);
  if (counts_rows(tensor) && share.data != nullptr) {
    share.data += share.bytes / static_cast<std::size_t>(rows) * static_cast<std::size_t>(first_row);
  }
  return share;
}

}  // namespace

PlanGraph::PlanGraph(cuda::PlanDevice& device, const Plan& plan, std::span<const std::byte> bytes,
                     const graphs::Signature& signature, const graphs::GraphCaches& caches)
    : plan_(plan), signature_(signature), names_(names_of(caches)) {
  open_ = device.open_plan(plan.file, bytes, names_);
  check_tensors(plan.file, open_->tensors(), expected_tensors(signature, caches, plan.capacity));
  if (names_.empty()) return;
  caches_ = device.make_caches({static_cast<std::int32_t>(names_.size()), caches.slots, caches.kv_heads,
                                plan.capacity, caches.head_dim});
}

void PlanGraph::run(Slot slot, int width, int rows) {
  const std::int32_t profile = profile_of(width);
  if (rows == 0) return run_window(profile, slot, width, {0, 1, false});
  // More rows than the profile scores: the same run again, which writes the same to the caches.
  const std::int32_t most = plan_.profiles[static_cast<std::size_t>(profile)].rows.most;
  for (int first = 0; first < rows; first += most) {
    run_window(profile, slot, width, {first, std::min(most, rows - first)});
  }
}

std::int32_t PlanGraph::profile_of(int width) const {
  if (const auto profile = profile_for(plan_, 1, width, 1)) return *profile;
  throw UnsupportedError("engine 'tensorrt': " + plan_.file + " has no profile for one sequence of " +
                         std::to_string(width) + " rows; export again");
}

void PlanGraph::run_window(std::int32_t profile, Slot slot, int width, const Window& window) {
  std::vector<Share> shares;
  shares.reserve(signature_.inputs.size());
  std::vector<cuda::PlanInput> inputs;
  for (const Tensor& tensor : signature_.inputs) {
    shares.push_back(share_of(tensor, width, window.first, window.count));
    const bool unscored = counts_rows(tensor) && !window.scored;
    inputs.push_back({tensor.name, shares.back().shape,
                      unscored ? static_cast<const void*>(kFirstRow.data()) : shares.back().data});
  }
  std::vector<cuda::PlanOutput> outputs;
  for (const Tensor& tensor : signature_.outputs) {
    const bool known = counts_rows(tensor) ? !window.scored : window.first > 0;
    if (tensor.data == nullptr || known) continue;
    const Share share = share_of(tensor, width, window.first, window.count);
    outputs.push_back({tensor.name, {share.data, share.bytes}});
  }
  open_->run({profile, inputs, outputs, caches_.get(), slot, 1});
}

void PlanGraph::reserve(Slot, int places, int) {
  if (caches_ == nullptr || places <= plan_.capacity) return;
  throw CapacityError("engine 'tensorrt': " + std::to_string(places) + " positions; the caches of " +
                      plan_.file + " have " + std::to_string(plan_.capacity) + " places");
}

void PlanGraph::keep(Slot slot, int base, std::span<const std::int32_t> offsets) {
  if (caches_ != nullptr) caches_->keep(slot, base, offsets);
}

std::vector<std::int32_t> PlanGraph::step_profiles(int batch, int most) const {
  std::vector<std::int32_t> profiles;
  while (std::ssize(profiles) < most) {
    const int width = static_cast<int>(profiles.size()) + 1;
    const std::optional<std::int32_t> profile = profile_for(plan_, batch, width, width);
    if (!profile) break;
    profiles.push_back(*profile);
  }
  return profiles;
}

}  // namespace mtp_rt::tensorrt
