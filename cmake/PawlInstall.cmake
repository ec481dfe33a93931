# What `cmake --install` puts where: the program, libpawl in both kinds, its headers, and the two ways to find it.
# Outside programs say
#
#   find_package(pawl 0.1 REQUIRED)           target_link_libraries(app PRIVATE pawl::pawl)     (shared)
#                                             target_link_libraries(app PRIVATE pawl::static)
#   pkg-config --cflags --libs pawl           (--static for the static library)
include(CMakePackageConfigHelpers)

set(PAWL_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/pawl)

install(TARGETS pawl_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY include/pawl DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")

# Two sets, because only the static library makes its user find what it is built on.
set_target_properties(libpawl_shared PROPERTIES EXPORT_NAME pawl)
install(TARGETS libpawl_shared EXPORT pawlTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS libpawl_static EXPORT pawlStaticTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT pawlTargets NAMESPACE pawl:: DESTINATION ${PAWL_CMAKE_DIR})
install(EXPORT pawlStaticTargets NAMESPACE pawl:: DESTINATION ${PAWL_CMAKE_DIR})

configure_package_config_file(${CMAKE_SOURCE_DIR}/cmake/pawlConfig.cmake.in ${CMAKE_BINARY_DIR}/generated/pawlConfig.cmake
                              INSTALL_DESTINATION ${PAWL_CMAKE_DIR})
# Before 1.0 a minor version may change the API.
write_basic_package_version_file(${CMAKE_BINARY_DIR}/generated/pawlConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/generated/pawlConfig.cmake ${CMAKE_BINARY_DIR}/generated/pawlConfigVersion.cmake
        DESTINATION ${PAWL_CMAKE_DIR})

# Relative to the file itself where that can be, so that `cmake --install --prefix` and a moved tree work.
set(PAWL_PC_PREFIX ${CMAKE_INSTALL_PREFIX})
set(PAWL_PC_LIBDIR ${CMAKE_INSTALL_FULL_LIBDIR})
set(PAWL_PC_INCLUDEDIR ${CMAKE_INSTALL_FULL_INCLUDEDIR})
if(NOT IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}" AND NOT IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
  file(RELATIVE_PATH up "/prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/prefix")
  string(REGEX REPLACE "/$" "" up "${up}")
  set(PAWL_PC_PREFIX "\${pcfiledir}/${up}")
  set(PAWL_PC_LIBDIR "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
  set(PAWL_PC_INCLUDEDIR "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
endif()
configure_file(cmake/pawl.pc.in generated/pawl.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/generated/pawl.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# What shells complete with, and targets for projects that use make.
set(texts ${CMAKE_SOURCE_DIR}/src/cli/text)
install(FILES ${texts}/completion.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME pawl)
install(FILES ${texts}/completion.zsh DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions RENAME _pawl)
install(FILES ${texts}/completion.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d RENAME pawl.fish)
install(FILES share/pawl.mk DESTINATION ${CMAKE_INSTALL_DATADIR}/pawl)

# The manual is printed by the program itself, from the tables that it parses with. A program that is instrumented or
# built for another machine cannot be counted on to run here.
if(NOT PAWL_SANITIZE AND NOT CMAKE_CROSSCOMPILING)
  set(pages ${CMAKE_BINARY_DIR}/generated/pawl.1 ${CMAKE_BINARY_DIR}/generated/pawl-revision.5)
  add_custom_command(
    OUTPUT ${pages}
    COMMAND pawl_cli man pawl > ${CMAKE_BINARY_DIR}/generated/pawl.1
    COMMAND pawl_cli man revision > ${CMAKE_BINARY_DIR}/generated/pawl-revision.5
    DEPENDS pawl_cli
    COMMENT "Writing the manual"
    VERBATIM)
  add_custom_target(pawl_manual ALL DEPENDS ${pages})
  install(FILES ${CMAKE_BINARY_DIR}/generated/pawl.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
  install(FILES ${CMAKE_BINARY_DIR}/generated/pawl-revision.5 DESTINATION ${CMAKE_INSTALL_MANDIR}/man5)
endif()
