// TensorRT plans on a GPU: what engine "tensorrt" asks of the CUDA part.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "mtp_rt/device_loop.h"
#include "mtp_rt/token.h"

namespace mtp_rt::cuda {

enum class PlanType : std::int32_t { f32, f16, i64, boolean, other };

/// An input or output as a plan declares it.
struct PlanTensor {
  std::string name;
  bool is_input = false;
  PlanType type = PlanType::other;
  std::vector<std::int64_t> shape;  // -1: a call decides

  bool operator==(const PlanTensor&) const = default;
};

/// So many matrices of float16 [slots, heads, places, head_dim].
struct PlanCacheShape {
  std::int32_t matrices = 0;
  std::int32_t slots = 0;
  std::int32_t heads = 0;
  std::int32_t places = 0;
  std::int32_t head_dim = 0;

  bool operator==(const PlanCacheShape&) const = default;
};

/// Caches of all slots in the GPU's memory, zero at first.
class PlanCaches {
 public:
  virtual ~PlanCaches() = default;
  PlanCaches() = default;
  PlanCaches(const PlanCaches&) = delete;
  PlanCaches& operator=(const PlanCaches&) = delete;

  /// Moves a slot's places at `offsets` behind `base`, ascending from 0, to base, base + 1, ... in every
  /// matrix. Throws ArgumentError on anything else.
  virtual void keep(Slot slot, std::int32_t base, std::span<const std::int32_t> offsets) = 0;
};

/// The two names of a matrix of caches in a plan; both are bound to the same memory.
struct PlanCacheNames {
  std::string past;     // input
  std::string present;  // output
};

/// An input in the host's memory.
struct PlanInput {
  const std::string& name;
  std::span<const std::int64_t> shape;  // its size is that of the plan's
  const void* data = nullptr;
};

/// An output that the host wants.
struct PlanOutput {
  const std::string& name;
  std::span<std::byte> data;  // whole: as many bytes as its shape in this call takes
};

struct PlanCall {
  std::int32_t profile = 0;
  std::span<const PlanInput> inputs;    // all but caches
  std::span<const PlanOutput> outputs;  // any of them
  PlanCaches* caches = nullptr;         // null: the plan has none
  Slot first_slot = 0;                  // of `batch` neighbours, whose caches the call reads and writes
  std::int32_t batch = 1;
};

/// A plan that is open on a GPU. Used by one thread at a time.
class Plan {
 public:
  virtual ~Plan() = default;
  Plan() = default;
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  /// Inputs and outputs, caches included.
  [[nodiscard]] virtual const std::vector<PlanTensor>& tensors() const noexcept = 0;

  /// Runs the plan and waits for it. Throws EngineError, CapacityError where the GPU's memory does not
  /// suffice.
  virtual void run(const PlanCall& call) = 0;
};

/// What drafts one depth: a plan of the heads and its profiles for one row of each sequence.
struct PlanHead {
  Plan* plan = nullptr;
  std::vector<std::int32_t> profiles;  // [b - 1]: the one for b sequences; at least that for one
};

/// A model whose loop may run on the device. Plans and caches are of the same device and outlive the loop.
///
/// Plan and tensor names are those of docs/exporting.md, Signatures. Heads have no caches of their own.
struct PlanLoopModel {
  std::int32_t slots = 0;
  std::int32_t context = 0;  // positions of a sequence
  std::int32_t vocab = 0;
  std::int32_t hidden = 0;  // values of a row's state
  Plan* verify = nullptr;
  PlanCaches* caches = nullptr;             // of verify; room for context + rows of a step - 1 places
  std::vector<PlanCacheNames> cache_names;  // of verify, matrix after matrix
  // [b - 1][w - 1]: of verify, the one for b sequences of w rows each, all scored; at least that for one row
  // of one. Neighbouring slots share calls as far as these and those of the heads go.
  std::vector<std::vector<std::int32_t>> verify_profiles;
  bool sequential = true;        // else heads.front() gives the scores of all depths at once
  std::vector<PlanHead> heads;   // by depth; several may be the same plan. Empty: none
  std::vector<Token> draft_ids;  // tokens that the heads score, ascending; empty: all
};

/// A GPU with an open TensorRT.
class PlanDevice {
 public:
  virtual ~PlanDevice() = default;
  PlanDevice() = default;
  PlanDevice(const PlanDevice&) = delete;
  PlanDevice& operator=(const PlanDevice&) = delete;

  [[nodiscard]] virtual std::string name() const = 0;                // "NVIDIA H100 80GB HBM3"
  [[nodiscard]] virtual std::string compute_capability() const = 0;  // "9.0"

  /// Throws CapacityError where the GPU's memory does not suffice.
  [[nodiscard]] virtual std::unique_ptr<PlanCaches> make_caches(const PlanCacheShape& shape) = 0;

  /// Opens a plan, whose caches are `caches`, matrix after matrix. `file` names it in errors.
  /// Throws ModelFormatError if TensorRT refuses it or lacks one of the names, CapacityError as above.
  [[nodiscard]] virtual std::unique_ptr<Plan> open_plan(const std::string& file,
                                                        std::span<const std::byte> plan,
                                                        std::span<const PlanCacheNames> caches) = 0;

  /// A loop over open plans; null where the device has none. Throws CapacityError as above, ModelFormatError
  /// where a plan lacks a tensor.
  [[nodiscard]] virtual std::unique_ptr<DeviceLoop> make_loop(const PlanLoopModel& /*model*/) {
    return nullptr;
  }
};

}  // namespace mtp_rt::cuda
