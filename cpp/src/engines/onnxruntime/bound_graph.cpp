#include "engines/onnxruntime/bound_graph.h"

#include <algorithm>

#include "engines/onnxruntime/device_memory.h"
#include "io/onnx_file.h"

namespace mtp_rt::onnxruntime {
namespace {

using graphs::GraphCaches;
using graphs::NumberType;
using graphs::Tensor;

constexpr std::size_t kMaxBindings = 64;

Tensor cache_tensor(const GraphCaches& caches, const char* time, int layer, bool values) {
  return {graphs::cache_name(caches, time, layer, values),
          NumberType::f32,
          {graphs::kBatch, caches.kv_heads, graphs::kPlaces, caches.head_dim},
          nullptr};
}

std::vector<Tensor> with_caches(std::vector<Tensor> tensors, const GraphCaches& caches, const char* time) {
  for (const int layer : caches.layers) {
    for (const bool values : {false, true}) tensors.push_back(cache_tensor(caches, time, layer, values));
  }
  return tensors;
}

}  // namespace

BoundGraph::BoundGraph(const Runtime& runtime, const RowMover* mover, const ModelDir& model,
                       const std::string& file, graphs::Signature signature, GraphCaches caches)
    : runtime_(runtime),
      file_(file),
      signature_(std::move(signature)),
      caches_(std::move(caches)),
      shape_{static_cast<int>(caches_.layers.size()), caches_.kv_heads, caches_.head_dim},
      memory_(mover == nullptr ? make_host_memory() : make_device_memory(runtime, *mover)),
      slots_(static_cast<std::size_t>(caches_.slots)),
      session_(nullptr, runtime.api().ReleaseSession) {
  const io::OnnxFile graph = io::read_onnx_file(model, file);
  session_ = open_session(runtime, graph, file, with_caches(signature_.inputs, caches_, "past"),
                          with_caches(signature_.outputs, caches_, "present"));
  if (runtime.caches() == Place::device)
    check_read_on_device(runtime, *session_, file, with_caches({}, caches_, "past"));
  for (const io::GraphWeight& weight : graph.weights) model.forget(model.tensor(weight.stored));
}

void BoundGraph::run(Slot slot, int width, int rows) {
  // ONNX Runtime before 1.32 refuses some products of no rows.
  Binding& bound = binding(width, std::max(rows, 1));
  if (runtime_.caches() == Place::device) bind_inputs(bound.io.get(), width, std::max(rows, 1));
  if (shape_.layers > 0) bind_cache(bound, cache(slot));
  check(runtime_.api().RunWithBinding(session_.get(), nullptr, bound.io.get()));
}

void BoundGraph::reserve(Slot slot, int places, int filled) {
  SlotCache& kv = cache(slot);
  if (shape_.layers > 0) kv.reserve(*memory_, shape_, places, std::min(filled, kv.places()));
}

void BoundGraph::keep(Slot slot, int base, std::span<const std::int32_t> offsets) {
  cache(slot).keep(*memory_, shape_, base, offsets);
}

void BoundGraph::clear(Slot slot) noexcept { cache(slot).clear(); }

BoundGraph::Binding& BoundGraph::binding(int width, int rows) {
  const auto known = bindings_.find({width, rows});
  if (known != bindings_.end()) return known->second;
  if (bindings_.size() >= kMaxBindings) bindings_.clear();
  OrtIoBinding* io = nullptr;
  check(runtime_.api().CreateIoBinding(session_.get(), &io));
  Binding bound{{io, runtime_.api().ReleaseIoBinding}};
  if (runtime_.caches() == Place::host) bind_inputs(io, width, rows);
  for (const Tensor& tensor : signature_.outputs) {
    if (tensor.data == nullptr) continue;
    check(
        runtime_.api().BindOutput(io, tensor.name.c_str(), value(Place::host, tensor, width, rows, 0).get()));
  }
  return bindings_.emplace(std::pair(width, rows), std::move(bound)).first->second;
}

// What the provider cannot read where it lies is copied now, and not again when the graph runs.
void BoundGraph::bind_inputs(OrtIoBinding* io, int width, int rows) const {
  for (const Tensor& tensor : signature_.inputs) {
    check(
        runtime_.api().BindInput(io, tensor.name.c_str(), value(Place::host, tensor, width, rows, 0).get()));
  }
  if (runtime_.caches() == Place::device) check(runtime_.api().SynchronizeBoundInputs(io));
}

void BoundGraph::bind_cache(Binding& binding, const SlotCache& cache) const {
  const float* memory = cache.matrix(shape_, 0, false);
  if (binding.cache == memory && binding.places == cache.places()) return;
  binding.cache = nullptr;
  for (int place = 0; place < shape_.layers; ++place) {
    const int layer = caches_.layers[static_cast<std::size_t>(place)];
    for (const bool values : {false, true}) {
      Tensor past = cache_tensor(caches_, "past", layer, values);
      past.data = cache.matrix(shape_, place, values);
      const Owned<OrtValue> shared = value(runtime_.caches(), past, 0, 0, cache.places());
      const std::string present = graphs::cache_name(caches_, "present", layer, values);
      check(runtime_.api().BindInput(binding.io.get(), past.name.c_str(), shared.get()));
      check(runtime_.api().BindOutput(binding.io.get(), present.c_str(), shared.get()));
    }
  }
  binding.cache = memory;
  binding.places = cache.places();
}

Owned<OrtValue> BoundGraph::value(Place place, const Tensor& tensor, int width, int rows, int places) const {
  const std::vector<std::int64_t> shape = graphs::shape_in_call(tensor, width, rows, places);
  std::size_t bytes = graphs::number_size(tensor.type);
  for (const std::int64_t size : shape) bytes *= static_cast<std::size_t>(size);
  return runtime_.tensor(place, tensor.data, bytes, shape, element_type(tensor.type));
}

}  // namespace mtp_rt::onnxruntime
