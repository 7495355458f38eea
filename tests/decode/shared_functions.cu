// Calls from a kernel everything that the CPU and a CUDA sampler share; test_cuda_compiles.py compiles it.
#include "decode/draft_walk.h"
#include "sampling/token_score.h"

namespace mtp_rt {

__global__ void score(const float* logits, const std::int32_t* generated, std::uint64_t seed,
                      std::int64_t position, double* scores, double* masses) {
  const auto token = static_cast<std::int32_t>(blockIdx.x * blockDim.x + threadIdx.x);
  const float logit = penalised(logits[token], 0, generated[token], 1.1F, 0.5F, 0.25F);
  scores[token] = static_cast<double>(logit) + gumbel(noise_word(seed, position, token));
  masses[token] = mass(logit);
}

__global__ void walk(const Token* tokens, const std::int32_t* parents, std::int32_t count, const Token* picks,
                     std::int32_t* rows, std::int32_t* kept, Token* next) {
  std::int32_t found = 0;
  *next = walk_drafts(
      tokens, parents, count, [=](std::int32_t row) { return picks[row]; },
      [&](std::int32_t row) { rows[found++] = row; });
  *kept = found;
}

__global__ void rotate(const double* angles, double* sines, double* cosines) {
  sines[threadIdx.x] = math::sin(angles[threadIdx.x]);
  cosines[threadIdx.x] = math::cos(angles[threadIdx.x]) * math::exp(-angles[threadIdx.x]);
}

}  // namespace mtp_rt
