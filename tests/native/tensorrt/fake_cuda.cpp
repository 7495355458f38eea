#include "fake_cuda.h"

#include <cuda_runtime_api.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <utility>
#include <vector>

namespace mtp_rt::testing {
namespace {

constexpr std::size_t kAlignment = 256;
constexpr int kUnwritten = 0xCD;

std::map<std::uintptr_t, std::size_t>& allocations() {
  static std::map<std::uintptr_t, std::size_t> sizes;
  return sizes;
}

std::uintptr_t address(const void* memory) { return reinterpret_cast<std::uintptr_t>(memory); }

using Work = std::function<bool()>;

/// What has been captured; a graph is no more.
struct Captured {
  std::vector<Work> works;
};

Captured* capturing = nullptr;
std::vector<Work> launched;  // runs when something else does, or is waited for
bool failed = false;

/// Everything launched before.
void catch_up() {
  for (const Work& work : std::exchange(launched, {})) failed = !work() || failed;
}

std::map<std::uintptr_t, std::size_t>& pinned() {
  static std::map<std::uintptr_t, std::size_t> sizes;
  return sizes;
}

cudaError_t allocate(void** memory, std::size_t bytes) {
  if (capturing != nullptr) return cudaErrorStreamCaptureUnsupported;
  if (bytes > gpu_free_bytes()) return cudaErrorMemoryAllocation;
  // No rounding up but to the alignment: the sanitizer's guards follow at once.
  *memory = std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
  std::memset(*memory, kUnwritten, bytes);
  allocations()[address(*memory)] = bytes;
  gpu_free_bytes() -= bytes;
  return cudaSuccess;
}

cudaError_t allocate_pinned(void** memory, std::size_t bytes) {
  if (capturing != nullptr) return cudaErrorStreamCaptureUnsupported;
  *memory = std::malloc(bytes);
  pinned()[address(*memory)] = bytes;
  return cudaSuccess;
}

cudaError_t release_pinned(void* memory) {
  if (pinned().erase(address(memory)) == 0) return cudaErrorInvalidValue;
  std::free(memory);
  return cudaSuccess;
}

/// A captured copy reads host memory whenever the graph runs.
bool is_host_memory(const void* memory, std::size_t bytes) {
  if (capturing == nullptr) return !is_gpu_memory(memory, 1);
  auto after = pinned().upper_bound(address(memory));
  if (after == pinned().begin()) return false;
  --after;
  return address(memory) + bytes <= after->first + after->second;
}

cudaError_t wait() {
  if (capturing != nullptr) return cudaErrorStreamCaptureUnsupported;
  catch_up();
  return std::exchange(failed, false) ? cudaErrorLaunchFailure : cudaSuccess;
}

cudaError_t release(void* memory) {
  const auto found = allocations().find(address(memory));
  if (found == allocations().end()) return memory == nullptr ? cudaSuccess : cudaErrorInvalidValue;
  gpu_free_bytes() += found->second;
  allocations().erase(found);
  std::free(memory);
  return cudaSuccess;
}

}  // namespace

std::size_t& gpu_free_bytes() {
  static std::size_t bytes = std::size_t{1} << 30;
  return bytes;
}

std::size_t gpu_allocations() { return allocations().size() + pinned().size(); }

std::int32_t& graphs_captured() {
  static std::int32_t count = 0;
  return count;
}

bool is_capturing() { return capturing != nullptr; }

void on_gpu(std::function<bool()> work) {
  if (capturing != nullptr) return capturing->works.push_back(std::move(work));
  catch_up();
  failed = !work() || failed;
}

bool is_gpu_memory(const void* memory, std::size_t bytes) {
  auto after = allocations().upper_bound(address(memory));
  if (after == allocations().begin()) return false;
  --after;
  return address(memory) + bytes <= after->first + after->second;
}

}  // namespace mtp_rt::testing

using namespace mtp_rt::testing;

extern "C" {

cudaError_t cudaMalloc(void** memory, std::size_t bytes) { return allocate(memory, bytes); }
cudaError_t cudaMallocAsync(void** memory, std::size_t bytes, cudaStream_t) {
  return allocate(memory, bytes);
}
cudaError_t cudaFree(void* memory) { return release(memory); }
cudaError_t cudaFreeAsync(void* memory, cudaStream_t) { return release(memory); }
cudaError_t cudaMallocHost(void** memory, std::size_t bytes) { return allocate_pinned(memory, bytes); }
cudaError_t cudaFreeHost(void* memory) { return release_pinned(memory); }

cudaError_t cudaMemsetAsync(void* memory, int value, std::size_t bytes, cudaStream_t) {
  if (!is_gpu_memory(memory, bytes)) return cudaErrorInvalidValue;
  on_gpu([=] {
    std::memset(memory, value, bytes);
    return true;
  });
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t) {
  if (bytes == 0) return cudaSuccess;
  const bool upload = kind == cudaMemcpyHostToDevice;
  if (!is_gpu_memory(upload ? to : from, bytes) || !is_host_memory(upload ? from : to, bytes)) {
    return cudaErrorInvalidValue;
  }
  on_gpu([=] {
    std::memcpy(to, from, bytes);
    return true;
  });
  return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  *properties = {};
  std::snprintf(properties->name, sizeof properties->name, "Fake GPU");
  properties->major = 9;
  properties->totalGlobalMem = std::size_t{1} << 30;
  return cudaSuccess;
}

cudaError_t cudaGetLastError() { return cudaSuccess; }
const char* cudaGetErrorString(cudaError_t status) {
  return status == cudaErrorMemoryAllocation ? "out of memory" : "failed";
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = reinterpret_cast<cudaStream_t>(std::malloc(1));
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  std::free(stream);
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t) { return wait(); }

cudaError_t cudaStreamBeginCapture(cudaStream_t, cudaStreamCaptureMode) {
  if (capturing != nullptr) return cudaErrorStreamCaptureUnsupported;
  capturing = new Captured;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t* graph) {
  *graph = reinterpret_cast<cudaGraph_t>(std::exchange(capturing, nullptr));
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  *executable = reinterpret_cast<cudaGraphExec_t>(new Captured(*reinterpret_cast<Captured*>(graph)));
  ++mtp_rt::testing::graphs_captured();
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t) {
  const auto& works = reinterpret_cast<Captured*>(graph)->works;
  launched.insert(launched.end(), works.begin(), works.end());
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete reinterpret_cast<Captured*>(graph);
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) {
  delete reinterpret_cast<Captured*>(graph);
  return cudaSuccess;
}
}
