#include "engines/native/heads_workspace.h"

namespace mtp_rt::native {
namespace {

std::size_t product(std::initializer_list<int> sizes) {
  std::size_t total = 1;
  for (const int n : sizes) total *= static_cast<std::size_t>(n);
  return total;
}

AlignedBuffer floats(std::initializer_list<int> sizes) {
  return AlignedBuffer(product(sizes) * sizeof(float));
}

}  // namespace

RowVectors::RowVectors(int rows, int size)
    : memory(floats({rows, size})), squares(product({rows, size / kUnit})) {}

HeadsWorkspace::HeadsWorkspace(const ModelConfig& c, int rows, int threads_count, int scores)
    : max_rows(rows),
      depths(static_cast<std::size_t>(c.extra_heads->count)),
      segments((static_cast<std::size_t>(scores) + kSegment - 1) / kSegment),
      origin(floats({rows, c.hidden_size})),
      state(rows, c.hidden_size),
      embedded(rows, c.hidden_size),
      tapped(rows, static_cast<int>(c.extra_heads->taps.size()) * c.hidden_size / kBlock),
      input(rows, (c.extra_heads->wiring == HeadWiring::sequential ? 2 : 1) * c.hidden_size / kBlock),
      hidden(rows, c.extra_heads->intermediate_size / kBlock),
      to_head(rows, c.hidden_size / kBlock),
      logits(floats({rows, scores})),
      unit_maxima(product({(scores + kUnit - 1) / kUnit, rows})),
      ones(static_cast<std::size_t>(rows), 1.0F),
      sums(static_cast<std::size_t>(rows) * depths * segments),
      drafts(static_cast<std::size_t>(rows)) {
  for (int t = 0; t < threads_count; ++t) {
    ThreadScratch scratch;
    scratch.unit_memory = floats({2, rows, kUnit});
    scratch.row_scale.resize(static_cast<std::size_t>(rows));
    scratch.head_scale.resize(static_cast<std::size_t>(rows));
    scratch.maxima.resize(static_cast<std::size_t>(rows));
    threads.push_back(std::move(scratch));
    segment_copies.emplace_back(kSegment * sizeof(float));
  }
}

}  // namespace mtp_rt::native
