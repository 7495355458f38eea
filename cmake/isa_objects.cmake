# Compiles one kernel source per instruction set. Each object exports one symbol: its kernel table.
# Under a sanitizer the unrolled kernels would take GCC minutes at -O3.
function(mtp_rt_isa_object target source)
  if(MTP_RT_SANITIZE)
    set(level -O1)
  else()
    set(level -O3)
  endif()
  target_sources(${target} PRIVATE ${source})
  set_source_files_properties(${source} TARGET_DIRECTORY ${target} PROPERTIES COMPILE_OPTIONS "${level};-fno-stack-protector;${ARGN}")
endfunction()
