# Whole texts live in src/cli/text/<name> (completion.bash, pawl.1) and become `extern const char pawl_text_<name>[]`
# with a _ for each dot and dash, declared in the generated header "pawl_text.h". Nothing generated is committed.
function(pawl_embed_text out)
  file(GLOB files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/cli/text/*)
  set(c_file ${CMAKE_BINARY_DIR}/generated/pawl_text.c)
  set(h_file ${CMAKE_BINARY_DIR}/generated/pawl_text.h)
  add_custom_command(
    OUTPUT ${c_file} ${h_file}
    COMMAND ${CMAKE_COMMAND} -DROOT=${CMAKE_SOURCE_DIR}/src/cli/text -DC_FILE=${c_file} -DH_FILE=${h_file}
            -P ${CMAKE_SOURCE_DIR}/cmake/embed_text.cmake
    DEPENDS ${files} ${CMAKE_SOURCE_DIR}/cmake/embed_text.cmake
    COMMENT "Embedding texts")
  set_source_files_properties(${c_file} PROPERTIES COMPILE_OPTIONS "-Wno-overlength-strings")
  set(${out} ${${out}} ${c_file} PARENT_SCOPE)
endfunction()
