#include "runtime/stream.h"

namespace mtp_rt::cuda {

void DestroyStream::operator()(cudaStream_t stream) const noexcept {
  static_cast<void>(cudaStreamDestroy(stream));
}
void DestroyGraph::operator()(cudaGraphExec_t graph) const noexcept {
  static_cast<void>(cudaGraphExecDestroy(graph));
}

Stream::Stream() {
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "creating a stream");
  stream_.reset(stream);
}

void Stream::wait() const { check(cudaStreamSynchronize(get()), "waiting for the GPU"); }

Settled::~Settled() {
  // What failed is being reported already, or was by the wait before.
  if (cudaStreamSynchronize(stream_) != cudaSuccess) static_cast<void>(cudaGetLastError());
}

void Graph::launch(cudaStream_t stream) const {
  check(cudaGraphLaunch(graph_.get(), stream), "launching a graph");
}

void Graph::abandon(cudaStream_t stream) noexcept {
  cudaGraph_t captured = nullptr;
  static_cast<void>(cudaStreamEndCapture(stream, &captured));
  if (captured != nullptr) static_cast<void>(cudaGraphDestroy(captured));
  static_cast<void>(cudaGetLastError());
}

void Graph::finish(cudaStream_t stream) {
  cudaGraph_t captured = nullptr;
  check(cudaStreamEndCapture(stream, &captured), "ending a capture");
  cudaGraphExec_t graph = nullptr;
  const cudaError_t status = cudaGraphInstantiate(&graph, captured, 0);
  static_cast<void>(cudaGraphDestroy(captured));
  check(status, "instantiating a graph");
  graph_.reset(graph);
}

}  // namespace mtp_rt::cuda
