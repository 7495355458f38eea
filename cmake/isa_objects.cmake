# Compiles one kernel source per instruction set. Each object exports one symbol: its kernel table.
function(mtp_rt_isa_object target source)
  target_sources(${target} PRIVATE ${source})
  set_source_files_properties(${source} TARGET_DIRECTORY ${target} PROPERTIES COMPILE_OPTIONS "-O3;-fno-stack-protector;${ARGN}")
endfunction()
