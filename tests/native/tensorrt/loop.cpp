// The loop over plans of a fake model: its text, drafts and endings are those of a plain loop over the
// formula.
#include <cstdint>
#include <string>
#include <vector>

#include "expect.h"
#include "fake_cuda.h"
#include "loop_checks.h"
#include "loop_model.h"
#include "loop_steps.h"
#include "mtp_rt/error.h"

namespace mtp_rt::cuda {
namespace {

/// Texts to their end with drafts of every kind, two slots whose steps are now together, now apart.
void check_texts() {
  LoopModel model({"draft 0 1", "draft 5 1", "draft 5 1"}, 1, 3);
  model.start();
  expect(model.loop->max_rows() == testing::kModelRows && model.loop->max_depths() == 3, "the loop's limits");
  const std::int64_t salts[] = {0, 5, 5};
  Random random = seeded(1);
  for (std::int32_t round = 0; round < 24; ++round) {
    const std::string what = "round " + std::to_string(round);
    std::vector<PlainText> plain{plain_text({3, 1, static_cast<Token>(round % 12)}),
                                 plain_text({static_cast<Token>(round % 7), 9}, 20)};
    const std::vector<Slot> slots{2, 0};
    for (std::size_t i = 0; i < plain.size(); ++i) model.admit(slots[i], plain[i]);
    while (!plain[0].has_ended() || !plain[1].has_ended()) {
      std::vector<DraftTree> trees(2);
      std::vector<LoopRow> rows;
      std::vector<std::size_t> which;
      for (const std::size_t i :
           round % 2 == 0 ? std::vector<std::size_t>{0, 1} : std::vector<std::size_t>{1, 0}) {
        if (plain[i].has_ended() || (random() % 4 == 0 && !plain[1 - i].has_ended())) continue;
        const auto nodes = static_cast<std::int32_t>(random() % testing::kModelRows);
        trees[i] = make_tree(plain[i], nodes, static_cast<std::uint32_t>(round % 9), round % 3 == 0, random);
        const auto drafts = nodes == 0 ? 0 : nodes - static_cast<std::int32_t>(random() % 2);
        rows.push_back(
            {slots[i], nodes == 0 ? nullptr : &trees[i], drafts, static_cast<std::int32_t>(random() % 4)});
        which.push_back(i);
      }
      const std::vector<LoopResult> results = model.loop->step(rows);
      for (std::size_t k = 0; k < which.size(); ++k) {
        PlainText& text = plain[which[k]];
        check_step(results[k], text, trees[which[k]], rows[k].drafts, what);
        const auto depths = text.has_ended() ? 0 : static_cast<std::size_t>(rows[k].depths);
        expect_tokens(results[k].drafted, text.drafts(std::span(salts).first(depths), 1), what + ", drafts");
      }
    }
    for (const Slot slot : slots) model.loop->release(slot);
  }
}

/// What the heads draft is verified in the next step, and stands where the head is the model itself.
void check_own_drafts() {
  LoopModel model(std::vector<std::string>(5, "draft 0 1"), 1, 1);
  model.start();
  PlainText plain = plain_text({4, 2}, 37);
  model.admit(0, plain);
  DraftTree tree;
  const std::int32_t before = testing::graphs_captured();
  for (std::int32_t steps = 0; !plain.has_ended(); ++steps) {
    const auto drafts = static_cast<std::int32_t>(tree.tokens.size());
    const LoopResult found = model.loop->step(std::vector<LoopRow>{{0, &tree, drafts, 5}}).front();
    check_step(found, plain, tree, drafts, "own drafts");
    expect(found.accepted == drafts, "own drafts stand");
    tree = {found.drafted, {0, 1, 2, 3, 4}};
    if (steps == 2) expect(testing::graphs_captured() == before + 3, "graphs for 1 and 6 rows, and drafts");
  }
  expect(testing::graphs_captured() == before + 3, "graphs are launched again");
}

/// Heads that give all depths at once, over every third token.
void check_heads_at_once() {
  LoopModel model(std::vector<std::string>(4, "draft_all 4 3"), 3, 2);
  model.start();
  PlainText plain = plain_text({4, 2, 7}, 20);
  model.admit(1, plain);
  for (std::int32_t depths = 0; !plain.has_ended(); depths = (depths + 1) % 5) {
    const LoopResult found = model.loop->step(std::vector<LoopRow>{{1, nullptr, 0, depths}}).front();
    check_step(found, plain, {}, 0, "heads at once");
    if (plain.has_ended()) break;
    expect_tokens(found.drafted, plain.drafts_at_once(depths, 3), "drafts at once");
  }
}

void check_selected_tokens() {
  LoopModel model({"draft 2 3", "draft 3 3"}, 3, 1);
  model.start();
  PlainText plain = plain_text({4, 2, 7}, 10);
  model.admit(0, plain);
  const std::int64_t salts[] = {2, 3};
  while (!plain.has_ended()) {
    const LoopResult found = model.loop->step(std::vector<LoopRow>{{0, nullptr, 0, 2}}).front();
    check_step(found, plain, {}, 0, "selected tokens");
    if (!plain.has_ended()) expect_tokens(found.drafted, plain.drafts(salts, 3), "drafts of selected tokens");
  }
}

/// Right drafts beyond a stop token and beyond max_tokens.
void check_endings() {
  LoopModel model({"draft 0 1"}, 1, 1);
  model.start();
  for (const bool stops : {true, false}) {
    PlainText plain = plain_text({5, 5});
    Random random = seeded(3);
    const DraftTree tree = make_tree(plain, 7, 8, true, random);
    if (stops) plain.request.stop_token_ids = {tree.tokens[3], 11};
    if (!stops) plain.request.max_tokens = 3;
    model.admit(0, plain);
    const std::vector<LoopRow> rows{{0, &tree, 7, 1}};
    const LoopResult found = model.loop->step(rows).front();
    check_step(found, plain, tree, 7, "an ending");
    expect(plain.has_ended() && found.drafted.empty() && found.tokens.size() <= 4, "it ends inside the step");
    expect_error<ArgumentError>("rows: ", "slot 0 has ended; release it",
                                [&] { static_cast<void>(model.loop->step(rows)); });
    model.loop->release(0);
  }
}

/// The first penalties move the memory of counts: graphs are captured again, other sequences go on.
void check_penalties() {
  LoopModel model({"draft 0 1"}, 1, 2);
  model.start();
  PlainText plain = plain_text({1, 2}, 30);
  model.admit(0, plain);
  const auto step = [&](Slot slot, PlainText& text) {
    Random random = seeded(5);
    const DraftTree tree = make_tree(text, 4, 6, false, random);
    const auto results = model.loop->step(std::vector<LoopRow>{{slot, &tree, 4, 1}});
    check_step(results.front(), text, tree, 4, "penalties of slot " + std::to_string(slot));
  };
  step(0, plain);
  PlainText other = plain_text({1, 2}, 30);
  model.admit(1, other);
  step(1, other);
  other = plain_text({1, 2}, 30);
  other.request.params.presence_penalty = 9.0F;
  const std::int32_t before = testing::graphs_captured();
  model.admit(1, other);  // instead of the one before
  while (!plain.has_ended() || !other.has_ended()) {
    if (!plain.has_ended()) step(0, plain);
    if (!other.has_ended()) step(1, other);
  }
  expect(plain.text != other.text, "penalties change the text");
  expect(testing::graphs_captured() == before + 4, "graphs that know the counts");
}

}  // namespace

void check_loops() {
  check_texts();
  check_own_drafts();
  check_heads_at_once();
  check_selected_tokens();
  check_endings();
  check_penalties();
  check_groups();
  check_broken_rows();
  check_refused_rows();
  check_refused_models();
  check_loop_failures();
}

}  // namespace mtp_rt::cuda
