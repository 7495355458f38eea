#include "engines/native/kernels/select.h"

#include <array>
#include <cstdlib>

#include "mtp_rt/error.h"

namespace mtp_rt::native {
namespace {

struct Candidate {
  const KernelTable* table;
  bool (*runs)();
};

bool runs_avx512_vnni() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vnni");
}

bool runs_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}

constexpr std::array kCandidates = {
    Candidate{&kernels_avx512_vnni, runs_avx512_vnni},
    Candidate{&kernels_avx2, runs_avx2},
    Candidate{&kernels_generic, [] { return true; }},
};

std::string known_names() {
  std::string names;
  for (const Candidate& c : kCandidates) names += (names.empty() ? "" : ", ") + std::string(c.table->name);
  return names;
}

}  // namespace

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const Candidate& c : kCandidates) {
    if (c.runs()) names.emplace_back(c.table->name);
  }
  return names;
}

const KernelTable& select_kernels(const std::string& isa) {
  const char* forced = std::getenv("MTP_RT_ISA");
  const std::string wanted = !isa.empty() ? isa : forced != nullptr ? forced : "";
  // The command passes the variable on as its own option, so equal values are named after it too.
  const std::string named = (forced != nullptr && wanted == forced ? "MTP_RT_ISA '" : "isa '") + wanted + "'";
  for (const Candidate& c : kCandidates) {
    if (wanted.empty() && c.runs()) return *c.table;
    if (wanted != c.table->name) continue;
    if (!c.runs())
      throw UnsupportedError(named + ": this CPU lacks its instructions; leave the choice to the runtime");
    return *c.table;
  }
  throw ArgumentError(named + " is unknown; known: " + known_names());
}

}  // namespace mtp_rt::native
