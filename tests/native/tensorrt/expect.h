// What a program's checks found.
#pragma once

#include <cstdio>
#include <string>

namespace mtp_rt::cuda {

inline int failures = 0;

inline void expect(bool holds, const std::string& what) {
  if (holds) return;
  std::printf("wrong: %s\n", what.c_str());
  ++failures;
}

}  // namespace mtp_rt::cuda
