#include "engines/onnxruntime/row_mover.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include "engines/onnxruntime/row_mover_graph.h"
#include "mtp_rt/error.h"

namespace mtp_rt::onnxruntime {
namespace {

constexpr const char* kDoing = "moving keys and values";

// Places in one run: the gathered rows lie beside the caches, as often as these are many.
constexpr std::size_t kMostPlaces = 64;

Owned<OrtSession> open(const Runtime& runtime) {
  const std::string graph = row_mover_graph();
  const auto options = runtime.session_options();
  OrtSession* opened = nullptr;
  OrtStatus* status =
      runtime.api().CreateSessionFromArray(runtime.env(), graph.data(), graph.size(), options.get(), &opened);
  try {
    runtime.library().check(status, "opening a session");
  } catch (const EngineError& error) {
    // The graph is ours: what fails is the provider.
    refuse_provider(runtime.library(), runtime.provider(), error.what());
  }
  return {opened, runtime.api().ReleaseSession};
}

Owned<OrtValue> tensor(const Runtime& runtime, Place place, const CacheView& view) {
  const std::array<std::int64_t, 4> shape = {1, view.heads, view.places, view.head_dim};
  const std::size_t floats = static_cast<std::size_t>(view.heads) * static_cast<std::size_t>(view.places) *
                             static_cast<std::size_t>(view.head_dim);
  return runtime.tensor(place, view.data, floats * sizeof(float), shape, ElementType::f32);
}

// The library reads inputs only, though its interface takes memory that it could write to.
Owned<OrtValue> tensor(const Runtime& runtime, std::span<const std::int64_t> numbers) {
  const std::array<std::int64_t, 1> shape = {static_cast<std::int64_t>(numbers.size())};
  auto* data = const_cast<std::int64_t*>(numbers.data());
  return runtime.tensor(Place::host, data, numbers.size_bytes(), shape, ElementType::i64);
}

}  // namespace

RowMover::RowMover(const Runtime& runtime) : runtime_(runtime), session_(open(runtime)) {}

void RowMover::clear(const CacheView& cache) const {
  std::vector<float> zeros(static_cast<std::size_t>(cache.heads) * static_cast<std::size_t>(cache.head_dim));
  const auto from = tensor(runtime_, Place::host, {zeros.data(), cache.heads, 1, cache.head_dim});
  for (int base = 0; base < cache.places; base += static_cast<int>(kMostPlaces)) {
    const auto count = std::min(kMostPlaces, static_cast<std::size_t>(cache.places - base));
    run(from.get(), std::vector<std::int64_t>(count), cache, base);
  }
}

void RowMover::move(const CacheView& from, std::span<const std::int64_t> places, const CacheView& to,
                    int base) const {
  if (places.empty()) return;
  const auto source = tensor(runtime_, Place::device, from);
  for (; !places.empty(); base += static_cast<int>(kMostPlaces)) {
    const auto part = places.first(std::min(kMostPlaces, places.size()));
    run(source.get(), part, to, base);
    places = places.subspan(part.size());
  }
}

void RowMover::run(const OrtValue* from, std::span<const std::int64_t> places, const CacheView& to,
                   int base) const {
  const OrtApi& api = runtime_.api();
  const auto check = [this](OrtStatus* status) { runtime_.library().check(status, kDoing); };
  const auto io = make_owned(runtime_.library(), api.ReleaseIoBinding, kDoing,
                             [&](OrtIoBinding** out) { return api.CreateIoBinding(session_.get(), out); });
  const std::array<std::int64_t, 1> first = {base};
  const auto target = tensor(runtime_, Place::device, to);
  const auto indices = tensor(runtime_, places);
  const auto start = tensor(runtime_, first);
  check(api.BindInput(io.get(), "from", from));
  check(api.BindInput(io.get(), "places", indices.get()));
  check(api.BindInput(io.get(), "to", target.get()));
  check(api.BindInput(io.get(), "base", start.get()));
  check(api.BindOutput(io.get(), "moved", target.get()));
  check(api.SynchronizeBoundInputs(io.get()));
  check(api.RunWithBinding(session_.get(), nullptr, io.get()));
}

}  // namespace mtp_rt::onnxruntime
