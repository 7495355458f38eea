# Makes memory errors in code that handles untrusted input end the process instead of being exploitable.
# Kernels opt out (isa_objects.cmake): they see only sizes that were checked before.
function(mtp_rt_harden target)
  if(MTP_RT_SANITIZE)
    target_compile_definitions(${target} PRIVATE _GLIBCXX_ASSERTIONS)
  else()
    # nvcc takes options for the host's compiler behind -Xcompiler.
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-fstack-protector-strong>
                                             $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-fstack-protector-strong>)
    # Fortified calls need an optimising build; -U first, because some distributions define it themselves.
    target_compile_options(${target} PRIVATE $<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE;-D_FORTIFY_SOURCE=3>)
  endif()
  target_link_options(${target} PRIVATE LINKER:-z,relro,-z,now)
endfunction()
