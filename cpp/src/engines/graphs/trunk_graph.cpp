#include "engines/graphs/trunk_graph.h"

#include <algorithm>
#include <numeric>

namespace mtp_rt::graphs {
namespace {

std::vector<int> all_layers(int count) {
  std::vector<int> layers(static_cast<std::size_t>(count));
  std::iota(layers.begin(), layers.end(), 0);
  return layers;
}

}  // namespace

TrunkGraph::TrunkGraph(Backend& backend, const ModelConfig& config, int slots, int max_rows)
    : vocab_size_(static_cast<std::size_t>(config.vocab_size)),
      hidden_size_(static_cast<std::size_t>(config.hidden_size)),
      tokens_(static_cast<std::size_t>(max_rows)),
      positions_(tokens_.size()),
      rows_(tokens_.size()),
      tree_(tokens_.size() * tokens_.size()),
      logits_(tokens_.size() * vocab_size_ * sizeof(float)),
      states_(tokens_.size() * hidden_size_ * sizeof(float)) {
  const Signature signature{
      {{"tokens", NumberType::i64, {kBatch, kWidth}, tokens_.data()},
       {"positions", NumberType::i64, {kBatch, kWidth}, positions_.data()},
       {"lengths", NumberType::i64, {kBatch}, &length_},
       {"tree", NumberType::boolean, {kBatch, kWidth, kWidth}, tree_.data()},
       {"rows", NumberType::i64, {kBatch, kRows}, rows_.data()}},
      {{"logits", NumberType::f32, {kBatch, kRows, config.vocab_size}, logits_.data()},
       {"state", NumberType::f32, {kBatch, kWidth, config.hidden_size}, states_.data()}}};
  graph_ = backend.open("verify", signature,
                        {"", all_layers(config.layers), config.kv_heads, config.head_dim, slots});
}

void TrunkGraph::run(const Segment& segment, std::span<const VerifyRow> rows,
                     std::span<const std::int32_t> wanted) {
  graph_->reserve(segment.slot, segment.base + segment.rows, segment.base);
  const auto first = static_cast<std::size_t>(segment.first_row);
  const auto width = static_cast<std::size_t>(segment.rows);
  for (std::size_t i = 0; i < width; ++i) {
    tokens_[i] = rows[first + i].token;
    positions_[i] = rows[first + i].position;
  }
  length_ = segment.base;
  write_tree(segment, rows.subspan(first, width));
  rows_.front() = 0;  // scored where none is wanted
  std::ranges::transform(wanted, rows_.begin(), [&](std::int32_t row) { return row - segment.first_row; });
  graph_->run(segment.slot, segment.rows, static_cast<int>(wanted.size()));
}

// A row sees what its parent sees, and itself.
void TrunkGraph::write_tree(const Segment& segment, std::span<const VerifyRow> rows) {
  const std::size_t width = rows.size();
  std::fill_n(tree_.begin(), width * width, std::uint8_t{0});
  for (std::size_t i = 0; i < width; ++i) {
    if (i > 0) {
      const auto parent = static_cast<std::size_t>(rows[i].parent - segment.first_row);
      std::copy_n(tree_.begin() + static_cast<std::ptrdiff_t>(parent * width), width,
                  tree_.begin() + static_cast<std::ptrdiff_t>(i * width));
    }
    tree_[i * width + i] = 1;
  }
}

std::span<const float> TrunkGraph::logits(std::size_t rows) const {
  return logits_.as<const float>().first(rows * vocab_size_);
}

std::span<const float> TrunkGraph::states(std::size_t rows) const {
  return states_.as<const float>().first(rows * hidden_size_);
}

}  // namespace mtp_rt::graphs
