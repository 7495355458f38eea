// The onnxruntime engine with its caches where those of a GPU lie, and what moves them.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engines/onnxruntime/device_memory.h"
#include "engines/onnxruntime/engine.h"
#include "engines/onnxruntime/row_mover_graph.h"
#include "mtp_rt/engine.h"
#include "mtp_rt/model_dir.h"
#include "testing/testing.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace mtp_rt::testing {
namespace {

using Cache = nb::ndarray<nb::numpy, float, nb::ndim<3>, nb::c_contig>;

onnxruntime::CacheView view(const Cache& cache) {
  return {cache.data(), static_cast<int>(cache.shape(0)), static_cast<int>(cache.shape(1)),
          static_cast<int>(cache.shape(2))};
}

/// Memory of the host, or that of ONNX Runtime on the CPU.
class Memory {
 public:
  explicit Memory(const std::string& library) {
    if (library.empty()) {
      memory_ = onnxruntime::make_host_memory();
      return;
    }
    const onnxruntime::Runtime& runtime =
        runtime_.emplace(onnxruntime::RuntimeOptions{library, "cpu", 1, true});
    memory_ = onnxruntime::make_device_memory(runtime, mover_.emplace(runtime));
  }

  [[nodiscard]] Cache make_zeros(int heads, int places, int head_dim) {
    auto data =
        std::make_unique<std::shared_ptr<float>>(memory_->make_zeros({nullptr, heads, places, head_dim}));
    float* address = data->get();
    const nb::capsule owner(data.release(),
                            [](void* p) noexcept { delete static_cast<std::shared_ptr<float>*>(p); });
    const std::size_t shape[] = {static_cast<std::size_t>(heads), static_cast<std::size_t>(places),
                                 static_cast<std::size_t>(head_dim)};
    return Cache(address, 3, shape, owner);
  }

  void copy(const Cache& from, int filled, const Cache& to) { memory_->copy(view(from), filled, view(to)); }

  void keep(const Cache& cache, int base, const std::vector<std::int32_t>& offsets) {
    memory_->keep(view(cache), base, offsets);
  }

 private:
  std::optional<onnxruntime::Runtime> runtime_;
  std::optional<onnxruntime::RowMover> mover_;
  std::unique_ptr<onnxruntime::CacheMemory> memory_;
};

std::shared_ptr<Engine> open(const std::string& path, const std::string& library, std::int32_t threads,
                             std::int32_t slots, std::int32_t context, std::int32_t max_rows) {
  const nb::gil_scoped_release release;
  EngineOptions options;
  options.engine = "onnxruntime";
  options.library = library;
  options.threads = threads;
  options.slots = slots;
  options.context = context;
  options.max_rows = max_rows;
  return onnxruntime::open_with_device_caches(ModelDir::open(path), options);
}

}  // namespace

void bind_onnxruntime(nb::module_& module) {
  nb::class_<Memory>(module, "CacheMemory", "Keys and values, float32 [heads, places, head_dim].")
      .def(nb::init<const std::string&>(), "library"_a,
           "Memory that ONNX Runtime allocates and moves; of the host where `library` is empty.")
      .def("make_zeros", &Memory::make_zeros, "heads"_a, "places"_a, "head_dim"_a, nb::keep_alive<0, 1>())
      .def("copy", &Memory::copy, "source"_a, "filled"_a, "target"_a)
      .def("keep", &Memory::keep, "cache"_a, "base"_a, "offsets"_a);
  module.def("open_with_device_caches", &open, "model"_a, nb::kw_only(), "library"_a, "threads"_a = 1,
             "slots"_a = 1, "context"_a = 0, "max_rows"_a = 128,
             "Engine 'onnxruntime' on the CPU with caches in memory that ONNX Runtime allocates and moves.");
  module.def(
      "row_mover_graph",
      [] {
        const std::string graph = onnxruntime::row_mover_graph();
        return nb::bytes(graph.data(), graph.size());
      },
      "The ONNX model that moves rows of caches.");
}

}  // namespace mtp_rt::testing
