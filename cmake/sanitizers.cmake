# Applies MTP_RT_SANITIZE to a target.
function(mtp_rt_sanitize target)
  if(MTP_RT_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${MTP_RT_SANITIZE} -fno-omit-frame-pointer -g
                                             -fno-sanitize-recover=all)
    target_link_options(${target} PUBLIC -fsanitize=${MTP_RT_SANITIZE})
  endif()
endfunction()
