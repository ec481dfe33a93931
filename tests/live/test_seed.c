#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/migration.h"
#include "support/project.h"
#include "support/server.h"

#include "util/banned.h"

static pawl_test_fixture
begin(const char *name)
{
    pawl_test_fixture f = pawl_test_begin(name);

    pawl_test_exec(f.db, "CREATE TABLE kind (code varchar(4) PRIMARY KEY, n numeric(6,2), j json, a int[], "
                         "touched int NOT NULL DEFAULT 0); "
                         "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS "
                         "'BEGIN NEW.touched := OLD.touched + 1; RETURN NEW; END'; "
                         "CREATE TRIGGER touch BEFORE UPDATE ON kind FOR EACH ROW EXECUTE FUNCTION touch()");
    return f;
}

static void
seed(const pawl_test_fixture *f, const char *body)
{
    PAWL_STRBUF_AUTO(text);

    pawl_strbuf_addf(&text, "up:\n  - seed: %s\n", body);
    pawl_test_revision(f, "aaaa0001", "", text.data);
}

#define KINDS                                                                                                \
    "SELECT string_agg(concat_ws(',', code, coalesce(n::text, '-'), coalesce(j::text, '-'), a, touched), ' " \
    "' "                                                                                                     \
    "ORDER BY code) FROM kind"

static void
rows_of_csv_go_in_and_a_second_time_change_nothing(void **state)
{
    pawl_test_fixture f = begin("seedcsv");

    (void) state;
    pawl_test_project_write(f.dir, "migrations/kinds.csv",
                            "code,n,j,a\r\n\"a\"\"b\",1.00,\"{\"\"x\"\": 1}\",\"{1,2}\"\r\nz,,\"1\",\r\n");
    seed(&f, "{ table: public.kind, key: code, file: kinds.csv }");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, KINDS, "a\"b,1.00,{\"x\": 1},{1,2},0 z,-,1,0");
    assert_non_null(strstr(f.heard.text.data, "2 rows given, 2 written, 0 deleted"));
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, "SELECT count(*)::text FROM kind", "2");

    pawl_test_up(&f);
    pawl_test_assert_text(&f, KINDS, "a\"b,1.00,{\"x\": 1},{1,2},0 z,-,1,0");
    assert_non_null(strstr(f.heard.text.data, "2 rows given, 0 written, 0 deleted"));
    pawl_test_must_go(&f, false, "base");

    pawl_test_project_write(f.dir, "migrations/kinds.csv", "code,n\nz,7\n");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, KINDS, "a\"b,1.00,{\"x\": 1},{1,2},0 z,7.00,1,1");
    pawl_test_end(&f);
}

static void
rows_of_yaml_and_of_the_revision_are_the_same(void **state)
{
    pawl_test_fixture f = begin("seedyaml");

    (void) state;
    pawl_test_project_write(f.dir, "migrations/transforms/kinds.yaml",
                            "- { code: a, n: 1, j: null }\n- { n: ~, code: \"\", j: \"null\" }\n");
    seed(&f, "{ table: kind, key: [code], file: transforms/kinds.yaml }");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, KINDS, ",-,null,0 a,1.00,-,0");
    pawl_test_must_go(&f, false, "base");
    pawl_test_exec(f.db, "TRUNCATE kind");
    seed(&f, "\n      table: kind\n      key: [code]\n      rows:\n        - { code: a, n: 1 }\n"
             "        - { code: b, n: 2 }");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, KINDS, "a,1.00,-,0 b,2.00,-,0");
    pawl_test_end(&f);
}

static void
missing_rows_are_deleted_only_when_asked(void **state)
{
    pawl_test_fixture f = begin("seedmiss");

    (void) state;
    pawl_test_exec(f.db,
                   "INSERT INTO kind VALUES ('old'), ('a'); CREATE TABLE two (x int, y text, PRIMARY KEY (x, "
                   "y)); INSERT INTO two VALUES (1, 'a'), (1, 'b'), (2, 'a')");
    seed(&f, "{ table: kind, key: code, rows: [{ code: a, n: 3 }] }");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, KINDS, "a,3.00,-,1 old,-,-,0");
    pawl_test_must_go(&f, false, "base");
    seed(&f, "{ table: kind, key: code, rows: [{ code: a, n: 3 }], delete_missing: true }");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, KINDS, "a,3.00,-,1");
    pawl_test_must_go(&f, false, "base");
    seed(&f, "{ table: two, key: [y, x], rows: [{ x: 1, y: b }, { x: 3, y: c }], delete_missing: true }");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, "SELECT string_agg(x || y, ',' ORDER BY x) FROM two", "1b,3c");
    pawl_test_end(&f);
}

static void
every_bad_line_is_named_and_nothing_goes_in(void **state)
{
    pawl_test_fixture f = begin("seedbad");
    PAWL_STRBUF_AUTO(csv);

    (void) state;
    pawl_strbuf_add(&csv, "code,n\n");
    for (int i = 2; i <= 2500; i++)
        pawl_strbuf_addf(&csv, "%d,%s\n", i, i == 1700 ? "many" : (i == 300 ? "100000" : "1"));
    pawl_strbuf_add(&csv, "toolong,1\n");
    pawl_test_project_write(f.dir, "migrations/kinds.csv", csv.data);
    seed(&f, "{ table: kind, key: code, file: kinds.csv }");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_INPUT, "numeric field overflow");
    assert_non_null(strstr(f.err.file, "migrations/kinds.csv"));
    assert_int_equal(f.err.line, 300);
    assert_non_null(strstr(f.err.detail, "3 rows are wrong"));
    assert_non_null(strstr(f.err.detail, "line 1700: invalid input syntax for type numeric: \"many\""));
    assert_non_null(strstr(f.err.detail, "line 2501: value too long"));
    pawl_test_assert_text(&f, "SELECT count(*)::text FROM kind", "0");
    pawl_test_end(&f);
}

static void
key_must_be_unique_for_the_server_too(void **state)
{
    pawl_test_fixture f = begin("seedkey");

    (void) state;
    pawl_test_exec(
        f.db, "CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false); "
              "CREATE TABLE ci (name text COLLATE nocase PRIMARY KEY, n int)");
    seed(&f, "{ table: ci, key: name, rows: [{ name: a, n: 1 }, { name: A, n: 2 }] }");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_INPUT, "what the server takes for the same key");
    pawl_test_must_go(&f, false, "base");
    seed(&f, "{ table: kind, key: n, rows: [{ code: a, n: 1 }] }");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_SERVER, "must name exactly the columns of a unique index");
    pawl_test_must_go(&f, false, "base");
    seed(&f, "{ table: kind, key: code, rows: [{ code: a, m: 1 }] }");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_INPUT, "has no column \"m\"");
    pawl_test_end(&f);
}

static void
identity_and_key_alone_are_fine(void **state)
{
    pawl_test_fixture f = begin("seedid");

    (void) state;
    pawl_test_exec(f.db, "CREATE TABLE ident (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY)");
    seed(&f, "{ table: ident, key: id, rows: [{ id: 7 }, { id: 9 }] }");
    pawl_test_up(&f);
    pawl_test_must_go(&f, false, "base");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, "SELECT string_agg(id::text, ',' ORDER BY id) FROM ident", "7,9");
    pawl_test_end(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_of_csv_go_in_and_a_second_time_change_nothing),
        cmocka_unit_test(rows_of_yaml_and_of_the_revision_are_the_same),
        cmocka_unit_test(missing_rows_are_deleted_only_when_asked),
        cmocka_unit_test(every_bad_line_is_named_and_nothing_goes_in),
        cmocka_unit_test(key_must_be_unique_for_the_server_too),
        cmocka_unit_test(identity_and_key_alone_are_fine),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
