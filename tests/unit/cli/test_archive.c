/* What is read from the list of an archive, and how a database's name is handed on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/archive.h"

#include "util/banned.h"

#define HEAD                                                       \
    ";\n; Archive created at 2025-03-01 10:00:00 UTC\n"            \
    ";     dbname: shop\n;     TOC Entries: 12\n"                  \
    ";     Compression: -1\n;     Dump Version: 1.14-0\n"          \
    ";     Format: DIRECTORY\n;     Integer: 4 bytes\n"            \
    ";     Dumped from database version: 15.18 (Debian 15.18-0)\n" \
    ";     Dumped by pg_dump version: 16.2\n;\n;\n; Selected TOC Entries:\n;\n"

static void
list_is_counted_by_kind(void **state)
{
    pawl_cli_archive_list list;

    (void) state;
    pawl_cli_archive_parse(HEAD "214; 1259 16385 TABLE public t postgres\n"
                                "215; 1259 16390 VIEW public v postgres\n"
                                "216; 1259 16392 TABLE public part_1 postgres\n"
                                "3211; 0 0 TABLE ATTACH public part_1 postgres\n"
                                "3350; 0 16385 TABLE DATA public t postgres\n"
                                "3212; 0 0 COMMENT public TABLE t postgres\n",
                           &list);
    assert_int_equal(list.entries, 6);
    assert_int_equal(list.tables, 2);
    assert_int_equal(list.filled, 1);
    assert_string_equal(list.server, "15.18");
    assert_string_equal(list.format, "DIRECTORY");
}

static void
damaged_list_counts_what_there_is(void **state)
{
    pawl_cli_archive_list list;

    (void) state;
    pawl_cli_archive_parse("", &list);
    assert_int_equal(list.entries, 0);
    assert_string_equal(list.server, "");
    pawl_cli_archive_parse(";\n;Dumped from database version:\n214\n215; 1259\n216; 1259 1 \n217; 1 1 TABLE",
                           &list);
    assert_int_equal(list.entries, 4);
    assert_int_equal(list.tables, 0);
}

static void
name_of_a_database_is_quoted_for_a_conninfo(void **state)
{
    PAWL_CLI_BUF text = {0};

    (void) state;
    pawl_cli_archive_dbname(&text, "it's \\ = user=postgres");
    assert_string_equal(pawl_cli_buf_text(&text), "--dbname=dbname='it\\'s \\\\ = user=postgres'");
}

static void
size_has_a_unit(void **state)
{
    PAWL_CLI_BUF text = {0};

    (void) state;
    pawl_cli_archive_size(&text, 1023);
    pawl_cli_add(&text, ", ");
    pawl_cli_archive_size(&text, INT64_C(5) << 30);
    assert_string_equal(pawl_cli_buf_text(&text), "1023 bytes, 5.0 GiB");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(list_is_counted_by_kind),
        cmocka_unit_test(damaged_list_counts_what_there_is),
        cmocka_unit_test(name_of_a_database_is_quoted_for_a_conninfo),
        cmocka_unit_test(size_has_a_unit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
