// Several slots in one call of the plans: the texts are those of each sequence alone, whoever its neighbours
// are, and calls and graphs are as few as the plans allow.
#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "expect.h"
#include "fake_cuda.h"
#include "loop_checks.h"
#include "loop_model.h"
#include "loop_steps.h"

namespace mtp_rt::cuda {
namespace {

using testing::ModelRun;

constexpr std::int32_t kSlots = 5;
constexpr std::int64_t kSalts[] = {0, 5};

/// The rows and drafts that one sequence has in a step.
struct Member {
  Slot slot = 0;
  std::int32_t drafts = 0;
  std::int32_t depths = 0;
};

/// A sequence in each slot, stepped through the loop and plainly.
class Sequences {
 public:
  /// They may have `least` tokens and more.
  Sequences(LoopModel& model, std::uint32_t seed, std::int32_t least = 32)
      : model_(model), random_(seeded(seed)) {
    for (Slot slot = 0; slot < kSlots; ++slot) {
      texts_.push_back(plain_text({static_cast<Token>(seed % 12), slot, 7}, least + 6 * slot));
      model_.admit(slot, texts_.back());
    }
  }
  Sequences(const Sequences&) = delete;
  Sequences& operator=(const Sequences&) = delete;
  ~Sequences() {
    for (Slot slot = 0; slot < kSlots; ++slot) model_.loop->release(slot);
  }

  [[nodiscard]] const PlainText& text(Slot slot) const { return texts_[static_cast<std::size_t>(slot)]; }

  [[nodiscard]] bool has_ended() const { return std::ranges::all_of(texts_, &PlainText::has_ended); }

  /// Who steps next: some of those that go on, in any order.
  [[nodiscard]] std::vector<Member> choose() {
    std::vector<Member> members;
    for (Slot slot = 0; slot < kSlots; ++slot) {
      if (text(slot).has_ended() || random_() % 4 == 0) continue;
      members.push_back({slot, static_cast<std::int32_t>(random_() % testing::kModelRows),
                         static_cast<std::int32_t>(random_() % 3)});
    }
    std::ranges::shuffle(members, random_);
    return members;
  }

  /// Steps these together.
  void step(std::span<const Member> members, const std::string& what) {
    std::vector<DraftTree> trees;
    for (const Member& member : members)
      trees.push_back(make_tree(text(member.slot), member.drafts, 5, random_() % 2 == 0, random_));
    std::vector<LoopRow> rows;
    for (std::size_t i = 0; i < members.size(); ++i)
      rows.push_back({members[i].slot, &trees[i], members[i].drafts, members[i].depths});
    const std::vector<LoopResult> results = model_.loop->step(rows);
    for (std::size_t i = 0; i < members.size(); ++i) {
      PlainText& plain = texts_[static_cast<std::size_t>(members[i].slot)];
      const std::string whose = what + ", slot " + std::to_string(members[i].slot);
      check_step(results[i], plain, trees[i], members[i].drafts, whose);
      const auto depths = plain.has_ended() ? 0 : static_cast<std::size_t>(members[i].depths);
      const bool sequential = model_.model.sequential;
      expect_tokens(results[i].drafted,
                    sequential ? plain.drafts(std::span(kSalts).first(depths), 1)
                               : plain.drafts_at_once(static_cast<std::int32_t>(depths), 1),
                    whose + ", drafts");
    }
  }

  /// The calls of verify that such a step runs, once its graphs are there.
  [[nodiscard]] std::vector<ModelRun> runs_of(std::span<const Member> members) {
    step(members, "the first of its kind");
    testing::model_runs().clear();
    step(members, "the second of its kind");
    std::vector<ModelRun> runs = testing::model_runs();
    std::erase_if(runs, [](const ModelRun& run) { return run.kind != "verify"; });
    return runs;
  }

 private:
  LoopModel& model_;
  Random random_;
  std::vector<PlainText> texts_;
};

/// Texts to their end: members with other rows and depths, neighbours that rest, end and come in any order.
void check_group_texts(const std::vector<std::string>& heads, std::int32_t batch) {
  LoopModel model(heads, 1, kSlots, batch);
  model.start();
  for (std::uint32_t round = 0; round < 6; ++round) {
    Sequences sequences(model, round, 9);
    while (!sequences.has_ended())
      sequences.step(sequences.choose(),
                     heads.front() + ", batch " + std::to_string(batch) + ", round " + std::to_string(round));
  }
}

std::vector<std::uint16_t> cache_of(LoopModel& model, Slot slot) {
  constexpr auto kSize =
      std::size_t{testing::kModelHeads} * testing::kModelPlaces * std::size_t{testing::kModelDim};
  std::vector<std::uint16_t> values;
  for (std::size_t matrix = 0; matrix < std::size_t{testing::kModelMatrices}; ++matrix) {
    const auto* at =
        static_cast<const std::uint16_t*>(dynamic_cast<const DeviceCaches&>(*model.caches).at(matrix, slot));
    values.insert(values.end(), at, at + kSize);
  }
  return values;
}

/// Neighbours are one call with the most rows of any; who does not step parts them and keeps its caches.
void check_calls() {
  LoopModel model({"draft 0 1", "draft 5 1"}, 1, kSlots);
  model.start();
  Sequences sequences(model, 1);
  const auto expect_runs = [&](const std::vector<Member>& members, const std::vector<ModelRun>& wanted,
                               const std::string& what) {
    expect(sequences.runs_of(members) == wanted, what);
  };
  expect_runs({{1, 2, 1}, {0, 0, 2}}, {{"verify", 2, 3}}, "two neighbours");
  const std::vector<std::uint16_t> before = cache_of(model, 2);
  expect_runs({{0, 1, 0}, {1, 0, 0}, {3, 0, 1}, {4, 3, 0}}, {{"verify", 2, 2}, {"verify", 2, 4}},
              "a gap between neighbours");
  expect(cache_of(model, 2) == before, "a slot that does not step");
  expect_runs({{0, 0, 0}, {2, 0, 0}, {4, 1, 0}}, {{"verify", 1, 1}, {"verify", 1, 1}, {"verify", 1, 2}},
              "no neighbours");
  const std::vector<Member> all{{2, 0, 1}, {3, 0, 0}, {1, 1, 0}, {4, 2, 0}};
  expect_runs(all, {{"verify", 3, 2}, {"verify", 1, 3}}, "more neighbours than a call takes");
  const std::vector<ModelRun>& runs = testing::model_runs();
  expect(std::ranges::count(runs, ModelRun{"draft", 3, 1}) == 1 && runs.size() == 3,
         "one head for those that go with one that wants it");
}

/// Plans that take one sequence, and plans that take fewer rows of two than of one.
void check_narrow_plans() {
  LoopModel single({"draft 0 1", "draft 5 1"}, 1, kSlots, 1);
  single.start();
  expect(Sequences(single, 2).runs_of(std::vector<Member>{{0, 1, 1}, {1, 0, 1}}) ==
             std::vector<ModelRun>{{"verify", 1, 2}, {"verify", 1, 1}},
         "plans for one sequence");
  LoopModel narrow({"draft 0 1", "draft 5 1"}, 1, kSlots, 2);
  narrow.model.verify_profiles[1].resize(3);
  narrow.start();
  Sequences sequences(narrow, 3);
  expect(
      sequences.runs_of(std::vector<Member>{{0, 2, 0}, {1, 0, 1}}) == std::vector<ModelRun>{{"verify", 2, 3}},
      "as many rows as two may have");
  expect(sequences.runs_of(std::vector<Member>{{2, 3, 0}, {3, 0, 1}}) ==
             std::vector<ModelRun>{{"verify", 1, 4}, {"verify", 1, 1}},
         "more rows than two may have");
  LoopModel heads({"draft 0 1", "draft 5 1"}, 1, kSlots, 2);
  heads.model.heads[1].profiles.resize(1);
  heads.start();
  expect(Sequences(heads, 4).runs_of(std::vector<Member>{{0, 0, 0}, {1, 0, 0}}).size() == 2,
         "heads for one sequence");
}

/// One member's row is broken, another one's sequence ends: the third's goes on, alone and with new
/// neighbours.
void check_ends_within_a_group() {
  LoopModel model({"draft 0 1", "draft 5 1"}, 1, 3);
  model.start();
  PlainText going = plain_text({1, 2}, 30);
  PlainText ending = plain_text({3, 4}, 1);
  model.admit(0, plain_text({1, testing::kBrokenToken}));
  model.admit(1, going);
  model.admit(2, ending);
  Random random = seeded(2);
  const DraftTree tree = make_tree(going, 4, 8, false, random);
  testing::model_runs().clear();
  const std::vector<LoopResult> results =
      model.loop->step(std::vector<LoopRow>{{0, nullptr, 0, 1}, {1, &tree, 4, 2}, {2, nullptr, 0, 2}});
  expect(std::ranges::count(testing::model_runs(), ModelRun{"verify", 3, 5}) == 2, "one call of three");
  expect(results[0].error && results[0].tokens.empty() && results[0].drafted.empty(), "a broken row");
  check_step(results[1], going, tree, 4, "beside a broken row");
  expect_tokens(results[1].drafted, going.drafts(kSalts, 1), "drafts beside a broken row");
  check_step(results[2], ending, {}, 0, "the end of a member");
  expect(ending.has_ended() && results[2].drafted.empty(), "no drafts behind an end");
  for (const Slot slot : {0, 2}) {
    model.loop->release(slot);
    PlainText fresh = plain_text({5, slot}, 8);
    model.admit(slot, fresh);
    const auto together = model.loop->step(std::vector<LoopRow>{{slot, nullptr, 0, 1}, {1, nullptr, 0, 1}});
    check_step(together[0], fresh, {}, 0, "a new neighbour");
    check_step(together[1], going, {}, 0, "beside a new neighbour");
  }
}

/// Graphs grow with groups times rows and with groups times depths; contexts of heads do not grow with slots.
void check_reuse() {
  LoopModel model({"draft 0 1", "draft 5 1"}, 1, kSlots);
  model.start();
  model.read(0, Tokens{1, 2});  // the engine's own context
  const std::int32_t graphs = testing::graphs_captured();
  const std::int32_t contexts = testing::model_contexts();
  for (std::uint32_t round = 0; round < 2; ++round) {
    Sequences sequences(model, round);
    for (const Slot slot : {0, 2}) {
      for (std::int32_t shape = 0; shape < 9; ++shape)
        sequences.step(std::vector<Member>{{slot, shape / 3, 0}, {slot + 1, 0, shape % 3}}, "all shapes");
    }
    expect(testing::graphs_captured() == graphs + 2 * 3 + 2 * 2, "graphs of two groups");
    expect(testing::model_contexts() == contexts + 2 * 3 + 2, "contexts of two groups");
  }
}

}  // namespace

void check_groups() {
  for (const std::int32_t batch : {1, 2, 3}) {
    check_group_texts({"draft 0 1", "draft 5 1"}, batch);
    check_group_texts({"draft_all 2 1", "draft_all 2 1"}, batch);
  }
  check_calls();
  check_narrow_plans();
  check_ends_within_a_group();
  check_reuse();
}

}  // namespace mtp_rt::cuda
