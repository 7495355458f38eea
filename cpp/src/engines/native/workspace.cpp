#include "engines/native/workspace.h"

#include "engines/native/batch.h"

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

ActivationBuffer::ActivationBuffer(int rows, int blocks) {
  const std::size_t entries = product({(rows + kPanel - 1) / kPanel, kPanel, blocks});
  memory_ = AlignedBuffer(entries * (kBlock * (sizeof(float) + 1) + 3 * sizeof(float)));
  auto* values = memory_.as<float>().data();
  auto* scale = values + entries * kBlock;
  auto* scaled_sum = scale + entries;
  auto* offset = reinterpret_cast<std::int32_t*>(scaled_sum + entries);
  view_ = {reinterpret_cast<std::int8_t*>(offset + entries), scale, scaled_sum, offset, values, blocks};
}

Workspace::Workspace(const ModelConfig& c, int max_rows, int context, int threads_count)
    : residual(floats({max_rows, c.hidden_size})),
      squares(product({max_rows, c.hidden_size / kUnit})),
      queries(floats({max_rows, c.heads, c.head_dim})),
      cosines(product({max_rows, c.head_dim})),
      sines(product({max_rows, c.head_dim})),
      partials(
          floats({max_rows, c.heads, (context + kContextBlock - 1) / kContextBlock, kLanes + c.head_dim})),
      normed(max_rows, c.hidden_size / kBlock),
      attended(max_rows, c.heads * c.head_dim / kBlock),
      hidden(max_rows, c.intermediate_size / kBlock),
      head_input(max_rows, c.hidden_size / kBlock),
      unit_maxima(product({(c.vocab_size + kUnit - 1) / kUnit, max_rows})),
      ones(static_cast<std::size_t>(max_rows), 1.0F) {
  const int group = c.heads / c.kv_heads;
  // Per query: itself, its scores over a block, those of the call's own rows, and the weighted values.
  const int per_query = 2 * static_cast<int>(kCoefficientStride) + max_rows + 2 * kLanes + c.head_dim;
  for (int t = 0; t < threads_count; ++t) {
    ThreadScratch scratch;
    scratch.unit_memory = floats({2, max_rows, kUnit});
    scratch.attention_memory = floats({kRowsPerItem, group, per_query});
    scratch.row_scale.resize(static_cast<std::size_t>(max_rows));
    scratch.head_scale.resize(static_cast<std::size_t>(max_rows));
    scratch.maxima.resize(static_cast<std::size_t>(max_rows));
    threads.push_back(std::move(scratch));
  }
}

}  // namespace mtp_rt::native
