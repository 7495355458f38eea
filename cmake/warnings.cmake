# The warnings every target of ours is held to.
function(mtp_rt_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion)
  if(MTP_RT_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
endfunction()
