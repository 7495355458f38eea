# The warnings every target of ours is held to.
function(mtp_rt_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    target_compile_options(${target} PRIVATE -Wno-restrict)  # wrong about std::string operator+ (GCC bug 105651)
  endif()
  if(MTP_RT_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
endfunction()

# The same for a target with CUDA sources. -Wpedantic and -Wconversion find fault with the code that nvcc writes.
function(mtp_rt_cuda_warnings target)
  set(host -Wall -Wextra -Wshadow)
  target_compile_options(${target} PRIVATE
    "$<$<COMPILE_LANGUAGE:CXX>:${host};-Wpedantic;-Wconversion;-Wno-sign-conversion>"
    "$<$<COMPILE_LANGUAGE:CUDA>:SHELL:-Xcompiler=$<JOIN:${host},$<COMMA>>>")
  if(MTP_RT_WERROR)
    target_compile_options(${target} PRIVATE
      $<$<COMPILE_LANGUAGE:CXX>:-Werror> "$<$<COMPILE_LANGUAGE:CUDA>:SHELL:-Werror all-warnings -Xcompiler=-Werror>")
  endif()
endfunction()
