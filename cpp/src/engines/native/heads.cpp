#include "engines/native/heads.h"

#include <algorithm>

#include "engines/native/heads_step.h"
#include "mtp_rt/error.h"

namespace mtp_rt::native {
namespace {

constexpr int kMaxRowsAtOnce = 64;

}  // namespace

Heads::Heads(const ModelDir& model, const KernelTable& kernels, const PackedWeights& trunk, ThreadPool& pool,
             int slots, std::optional<float> two_stage_margin)
    : config_(model.config()),
      heads_(*config_.extra_heads),
      kernels_(kernels),
      trunk_(trunk),
      pool_(pool),
      weights_(model, trunk, kernels, pool),
      two_stage_margin_(weights_.unembed_is_q8() ? two_stage_margin : std::nullopt),
      workspace_(config_, std::min(slots, kMaxRowsAtOnce), pool.threads(), weights_.scores()),
      state_size_(static_cast<std::size_t>(config_.hidden_size) *
                  std::max<std::size_t>(1, heads_.taps.size())),
      states_(static_cast<std::size_t>(slots) * state_size_ * sizeof(float)) {
  if (heads_.body == HeadBody::block) {
    throw UnsupportedError("mtp_rt.heads: the native engine cannot run heads whose body is a block yet");
  }
}

void Heads::keep(Slot slot, const Trunk& trunk, int row) noexcept { trunk.copy_state(row, state_of(slot)); }

void Heads::draft(std::span<const HeadRow> rows, const DraftOutputs& outputs) {
  while (!rows.empty()) {
    const auto part = rows.first(std::min(rows.size(), static_cast<std::size_t>(workspace_.max_rows)));
    pool_.run([&](int thread) { HeadsStep(*this, part, outputs, thread).run(); });
    finish_chances(part, outputs);
    rows = rows.subspan(part.size());
  }
}

// At temperature 0 the step leaves scores in place of chances.
void Heads::finish_chances(std::span<const HeadRow> rows, const DraftOutputs& outputs) {
  for (std::size_t r = 0; r < rows.size(); ++r) {
    if (rows[r].params->temperature != 0.0F) continue;
    const auto width = static_cast<std::size_t>(rows[r].width);
    for (std::size_t depth = 0; depth < static_cast<std::size_t>(rows[r].count); ++depth) {
      to_probabilities(workspace_.softmax_of(r, depth),
                       outputs.chances.subspan(rows[r].output + depth * width, width));
    }
  }
}

}  // namespace mtp_rt::native
