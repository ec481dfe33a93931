# Static SQL lives in src/sql/<module>/<name>.sql and becomes `extern const char pawl_sql_<module>_<name>[]`, declared
# in the generated header "pawl_sql.h". `@ledger@` in a file stands for the quoted name of the ledger's schema; the
# ledger puts it in (ledger/ledger.h). Nothing generated is committed.
function(pawl_embed_sql out)
  file(GLOB files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/sql/*/*.sql)
  set(c_file ${CMAKE_BINARY_DIR}/generated/pawl_sql.c)
  set(h_file ${CMAKE_BINARY_DIR}/generated/pawl_sql.h)
  add_custom_command(
    OUTPUT ${c_file} ${h_file}
    COMMAND ${CMAKE_COMMAND} -DROOT=${CMAKE_SOURCE_DIR}/src/sql -DC_FILE=${c_file} -DH_FILE=${h_file}
            -P ${CMAKE_SOURCE_DIR}/cmake/embed_sql.cmake
    DEPENDS ${files} ${CMAKE_SOURCE_DIR}/cmake/embed_sql.cmake
    COMMENT "Embedding SQL")
  set_source_files_properties(${c_file} PROPERTIES COMPILE_OPTIONS "-Wno-overlength-strings")
  set(${out} ${c_file} PARENT_SCOPE)
endfunction()
