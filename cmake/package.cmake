# Installs the library, its headers and a CMake package. In a wheel they lie inside the Python package, where
# mtp_rt.cmake_dir() and mtp_rt.include_dir() find them; elsewhere under the usual prefix.
include(CMakePackageConfigHelpers)

if(SKBUILD)
  set(package_root "mtp_rt/")
else()
  set(package_root "")
endif()
set(package_cmake_dir ${package_root}lib/cmake/mtp_rt)

install(TARGETS mtp_rt EXPORT mtp_rt LIBRARY DESTINATION ${package_root}lib
        INCLUDES DESTINATION ${package_root}include)
install(DIRECTORY cpp/include/mtp_rt DESTINATION ${package_root}include FILES_MATCHING PATTERN "*.h")
install(EXPORT mtp_rt NAMESPACE mtp_rt:: DESTINATION ${package_cmake_dir} FILE mtp_rt-targets.cmake)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/mtp_rt-config.cmake.in mtp_rt-config.cmake
                              INSTALL_DESTINATION ${package_cmake_dir} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(mtp_rt-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/mtp_rt-config.cmake ${CMAKE_CURRENT_BINARY_DIR}/mtp_rt-config-version.cmake
        DESTINATION ${package_cmake_dir})
