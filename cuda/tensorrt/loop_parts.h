// What all steps of a loop share: the model's plans and caches, the state, and memory between plans and
// kernels.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "engines/cuda/plans.h"
#include "loop/loop_memory.h"
#include "runtime/memory.h"
#include "tensorrt/caches.h"
#include "tensorrt/plan.h"
#include "tensorrt/runtime.h"

namespace mtp_rt::cuda {

/// Steps run one after the other on the runtime's stream, so one of each memory suffices.
struct LoopParts {
  /// Throws ArgumentError on a model that is out of range or of another device, ModelFormatError where a plan
  /// lacks a tensor, CapacityError where the GPU's memory does not suffice.
  LoopParts(std::shared_ptr<Runtime> on, const PlanLoopModel& of);

  [[nodiscard]] std::int32_t max_rows() const noexcept;   // of a sequence
  [[nodiscard]] std::int32_t max_batch() const noexcept;  // sequences that share a call
  [[nodiscard]] std::int32_t max_depths() const noexcept;
  [[nodiscard]] std::int32_t draft_scores() const noexcept;  // tokens that the heads score

  std::shared_ptr<Runtime> runtime;
  PlanLoopModel model;
  TensorRtPlan& verify;
  const DeviceCaches& caches;
  std::vector<TensorRtPlan*> heads;  // by depth
  LoopMemory memory;
  StepMemory step;  // its sequences are the slots
  ScoreMemory scores;
  std::vector<DeviceBuffer<std::int64_t>> row_numbers;  // [w - 1]: 0 .. w - 1 of each sequence, all scored
  DeviceBuffer<float> states;                           // [rows, hidden] of verify
  std::array<DeviceBuffer<float>, 2> head_states;  // [batch, hidden]: a depth reads one and writes the other
  DeviceBuffer<float> head_logits;  // [batch, scores], of all depths where the heads are not sequential
  DeviceBuffer<Token> draft_ids;    // empty: the heads score all tokens

 private:
  [[nodiscard]] std::int32_t all_rows() const noexcept;  // of a call of verify, at most
};

}  // namespace mtp_rt::cuda
