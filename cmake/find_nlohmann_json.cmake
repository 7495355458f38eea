# Header-only JSON, from the build environment's Python package or the system.
execute_process(
  COMMAND ${Python_EXECUTABLE} -c "import nlohmann_json, pathlib; print(pathlib.Path(nlohmann_json.__file__).parent / 'include')"
  OUTPUT_VARIABLE json_hint OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
find_path(MTP_RT_JSON_INCLUDE nlohmann/json.hpp HINTS ${json_hint} REQUIRED)
add_library(mtp_rt_nlohmann_json INTERFACE)
target_include_directories(mtp_rt_nlohmann_json SYSTEM INTERFACE ${MTP_RT_JSON_INCLUDE})
