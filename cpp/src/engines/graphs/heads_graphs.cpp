#include "engines/graphs/heads_graphs.h"

#include <algorithm>
#include <utility>

#include "engines/graphs/candidates.h"
#include "engines/graphs/heads_layout.h"

namespace mtp_rt::graphs {
namespace {

constexpr int kMaxRows = 128;  // of one run

// Heads read tokens up to so many positions on; the newest rows run again when those are known.
int open_rows(const HeadsConfig& heads) {
  return heads.wiring == HeadWiring::sequential && !heads.shared ? heads.count : 1;
}

ScoredTokens scored_tokens(const ModelDir& model, const HeadsConfig& heads) {
  std::vector<Token> ids = draft_ids(model, heads);
  return ids.empty() ? ScoredTokens() : ScoredTokens(std::move(ids));
}

}  // namespace

HeadsGraphs::HeadsGraphs(Backend& backend, const ModelDir& model, const HeadsConfig& heads, int slots)
    : heads_(heads),
      attends_(heads.body == HeadBody::block),
      sequential_(heads.wiring == HeadWiring::sequential),
      open_(open_rows(heads)),
      hidden_(static_cast<std::size_t>(model.config().hidden_size)),
      scores_(static_cast<std::size_t>(heads.draft_vocab_size.value_or(model.config().vocab_size))),
      scored_(scored_tokens(model, heads)),
      pending_(static_cast<std::size_t>(slots)),
      max_rows_(std::min(kMaxRows, backend.max_width())),
      tokens_(static_cast<std::size_t>(max_rows_)),
      states_(tokens_.size() * hidden_ * sizeof(float)),
      next_states_(tokens_.size() * hidden_ * sizeof(float)),
      logits_(static_cast<std::size_t>(heads.count) * scores_ * sizeof(float)) {
  open_graphs(backend, model.config(), slots);
}

// Sequential heads have a graph per module, others one for all.
void HeadsGraphs::open_graphs(Backend& backend, const ModelConfig& config, int slots) {
  for (int graph = 0; graph < (sequential_ ? heads_.modules() : 1); ++graph) {
    std::vector<int> layers;
    for (int module = 0; attends_ && module < heads_.modules(); ++module) {
      if (!sequential_ || module == graph) layers.push_back(module);
    }
    graphs_.push_back(backend.open(graph_of(graph), signature(config),
                                   {"heads.", layers, config.kv_heads, config.head_dim, slots}));
  }
}

Signature HeadsGraphs::signature(const ModelConfig& config) {
  const std::int64_t hidden = config.hidden_size;
  const std::int64_t given = attends_ ? kRows : kWidth;
  const auto scores = static_cast<std::int64_t>(scores_);
  Signature s;
  s.inputs.push_back({"state", NumberType::f32, {kBatch, kWidth, hidden}, states_.data()});
  if (sequential_) s.inputs.push_back({"tokens", NumberType::i64, {kBatch, kWidth}, tokens_.data()});
  if (attends_) {
    s.inputs.push_back({"lengths", NumberType::i64, {kBatch}, &length_});
    s.inputs.push_back({"rows", NumberType::i64, {kBatch, kRows}, &row_});
  }
  if (sequential_) {
    s.outputs = {{"logits", NumberType::f32, {kBatch, given, scores}, logits_.data()},
                 {"ids", NumberType::i64, {kBatch, given}},
                 {"next_state", NumberType::f32, {kBatch, kWidth, hidden}, next_states_.data()}};
  } else {
    s.outputs = {{"logits", NumberType::f32, {kBatch, given, heads_.count, scores}, logits_.data()},
                 {"ids", NumberType::i64, {kBatch, given, heads_.count}}};
  }
  return s;
}

void HeadsGraphs::keep(Slot slot, Token token, std::span<const float> state) {
  PendingRows& pending = pending_[static_cast<std::size_t>(slot)];
  if (!attends_) pending.drop(pending.count(), hidden_);
  pending.append(token, state);
}

void HeadsGraphs::clear(Slot slot) {
  pending_[static_cast<std::size_t>(slot)].clear();
  for (const auto& graph : graphs_) graph->clear(slot);
}

void HeadsGraphs::draft(const HeadRow& row, const DraftOutputs& outputs) {
  PendingRows& pending = pending_[static_cast<std::size_t>(row.slot)];
  while (pending.count() > max_rows_)
    finish_oldest(row.slot, pending, std::min(max_rows_, pending.count() - open_));
  const int rows = pending.count();
  reserve(row.slot, pending, rows + heads_.count);
  Run run{row.slot, pending, rows, {row.token}};
  if (!sequential_) run_all_depths(run);
  for (int depth = 0; depth < row.count; ++depth) {
    if (sequential_) run_depth(run, depth);
    choose_at(row, depth, outputs);
    run.behind.push_back(outputs.tokens[row.output + static_cast<std::size_t>(depth * row.width)]);
  }
  const bool all_modules_ran = heads_.shared || !sequential_ || row.count == heads_.count;
  if (all_modules_ran) pending.drop(std::max(0, rows - open_), hidden_);
}

// Makes the keys and values of the oldest pending rows final; all tokens that they read are known.
void HeadsGraphs::finish_oldest(Slot slot, PendingRows& pending, int rows) {
  reserve(slot, pending, rows);
  const Run run{slot, pending, rows, {}};
  if (sequential_) {
    for (int module = 0; module < heads_.modules(); ++module) run_depth(run, module);
  } else {
    run_all_depths(run);
  }
  pending.drop(rows, hidden_);
}

void HeadsGraphs::reserve(Slot slot, const PendingRows& pending, int rows) {
  if (!attends_) return;
  for (const auto& graph : graphs_) graph->reserve(slot, pending.first() + rows, pending.first());
}

// Behind the first depth, a shared module runs the last row alone: the rows before it are in its cache.
int HeadsGraphs::width(const Run& run, int depth) const noexcept {
  return heads_.shared && depth > 0 ? 1 : run.rows;
}

void HeadsGraphs::run_depth(const Run& run, int depth) {
  const PendingRows& pending = run.pending;
  const int rows = width(run, depth);
  const int skipped = run.rows - rows;
  if (depth == 0) {
    std::ranges::copy(pending.states(0, rows, hidden_), states_.as<float>().begin());
  } else {
    const auto before = static_cast<std::size_t>(width(run, depth - 1) - rows);
    std::ranges::copy(
        next_states_.as<float>().subspan(before * hidden_, static_cast<std::size_t>(rows) * hidden_),
        states_.as<float>().begin());
  }
  for (int i = 0; i < rows; ++i) {
    const int at = skipped + i + 1 + depth;
    tokens_[static_cast<std::size_t>(i)] =
        at < pending.count() ? pending.token(at) : run.behind[static_cast<std::size_t>(at - pending.count())];
  }
  const int length = pending.first() + (heads_.shared ? skipped + depth : 0);
  call(*graphs_[heads_.shared ? 0 : static_cast<std::size_t>(depth)], run, length, rows);
}

void HeadsGraphs::run_all_depths(const Run& run) {
  std::ranges::copy(run.pending.states(0, run.rows, hidden_), states_.as<float>().begin());
  call(*graphs_.front(), run, run.pending.first(), run.rows);
}

void HeadsGraphs::call(Graph& graph, const Run& run, int length, int rows) {
  length_ = length;
  row_ = rows - 1;
  graph.run(run.slot, rows, 1);
}

void HeadsGraphs::choose_at(const HeadRow& row, int depth, const DraftOutputs& outputs) const {
  const auto width = static_cast<std::size_t>(row.width);
  const std::size_t at = row.output + static_cast<std::size_t>(depth) * width;
  const std::size_t place = sequential_ ? 0 : static_cast<std::size_t>(depth);
  choose(logits_.as<const float>().subspan(place * scores_, scores_), scored_, *row.params,
         std::int64_t{row.position} + 1 + depth, outputs.tokens.subspan(at, width),
         outputs.chances.subspan(at, width));
}

}  // namespace mtp_rt::graphs
