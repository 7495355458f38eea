#include "engines/native/workspace.h"

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

Workspace::Workspace(const ModelConfig& c, const KvCache& cache, int max_rows, int context, int threads_count)
    : width(static_cast<std::size_t>(c.hidden_size)),
      residual(floats({max_rows, c.hidden_size})),
      squares(product({max_rows, c.hidden_size / kUnit})),
      cosines(product({max_rows, c.head_dim})),
      sines(product({max_rows, c.head_dim})),
      attention({c.heads, c.kv_heads, c.head_dim}, cache.shape().kind, max_rows, context),
      normed(max_rows, c.hidden_size / kBlock),
      attended(max_rows, c.heads * c.head_dim / kBlock),
      hidden(max_rows, c.intermediate_size / kBlock),
      head_input(max_rows, c.hidden_size / kBlock),
      unit_maxima(product({(c.vocab_size + kUnit - 1) / kUnit, max_rows})),
      ones(static_cast<std::size_t>(max_rows), 1.0F) {
  const auto rows = static_cast<std::size_t>(max_rows);
  for (int t = 0; t < threads_count; ++t) {
    threads.push_back({floats({2, max_rows, kUnit}), std::vector<float>(rows), std::vector<float>(rows),
                       std::vector<float>(rows)});
    attention_threads.push_back(
        {ActivationBuffer(max_rows, 1), AttentionWorker({c.heads, c.kv_heads, c.head_dim}, cache)});
  }
}

}  // namespace mtp_rt::native
