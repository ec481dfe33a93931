#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/migration.h"
#include "support/server.h"

#include "util/banned.h"

/* "name type" of each, "?" when it is not validated. */
#define CONSTRAINTS                                                                                          \
    "SELECT coalesce(string_agg(conname || ' ' || contype::text || CASE WHEN convalidated THEN '' ELSE '?' " \
    "END, "                                                                                                  \
    "', ' ORDER BY conname), '') FROM pg_constraint WHERE conrelid = 't'::regclass AND contype <> 'p'"

static pawl_test_fixture
begin(const char *name)
{
    pawl_test_fixture f = pawl_test_begin(name);

    pawl_test_exec(f.db, "CREATE TABLE kind (id int PRIMARY KEY, code text UNIQUE); "
                         "INSERT INTO kind VALUES (1, 'one'), (2, 'two'); "
                         "ALTER TABLE t ADD kind_id int REFERENCES kind, ADD up_id bigint; "
                         "ALTER TABLE t DROP CONSTRAINT t_kind_id_fkey; UPDATE t SET kind_id = 1 + id % 2");
    return f;
}

static const char all_kinds[] =
    "up:\n"
    "  - add_constraint: { table: t, name: t_id_check, check: \"id > 0 -- positive\" }\n"
    "  - add_constraint:\n"
    "      table: t\n"
    "      name: t_kind\n"
    "      foreign_key: { columns: [kind_id], references: kind, on_delete: set null, on_update: cascade }\n"
    "  - add_constraint:\n"
    "      table: public.t\n"
    "      name: t_up\n"
    "      foreign_key: { columns: [up_id], references: t, ref_columns: [id] }\n"
    "  - add_constraint: { table: t, name: t_a_key, unique: { columns: [a] } }\n";

static void
constraints_go_up_and_down(void **state)
{
    pawl_test_fixture f = begin("constraints");

    (void) state;
    pawl_test_revision(&f, "aaaa0001", "", all_kinds);
    pawl_test_up(&f);
    pawl_test_assert_text(&f, CONSTRAINTS, "t_a_key u, t_id_check c, t_kind f, t_up f");
    pawl_test_assert_text(&f, "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 't_kind'",
                          "FOREIGN KEY (kind_id) REFERENCES kind(id) ON UPDATE CASCADE ON DELETE SET NULL");
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, CONSTRAINTS, "");
    pawl_test_assert_text(&f, "SELECT count(*)::text FROM pg_index WHERE indrelid = 't'::regclass", "1");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, CONSTRAINTS, "t_a_key u, t_id_check c, t_kind f, t_up f");
    pawl_test_end(&f);
}

static void
dropped_constraints_come_back_validated(void **state)
{
    pawl_test_fixture f = begin("dropcon");

    (void) state;
    pawl_test_exec(f.db, "ALTER TABLE t ADD CONSTRAINT c1 CHECK (id > 0), ADD CONSTRAINT c2 UNIQUE (a), ADD "
                         "CONSTRAINT c3 FOREIGN KEY (kind_id) REFERENCES kind");
    pawl_test_revision(&f, "aaaa0001", "",
                       "up:\n"
                       "  - drop_constraint: { table: t, name: c1, was: { check: id > 0 } }\n"
                       "  - drop_constraint: { table: t, name: c2, was: { unique: { columns: [a] } } }\n"
                       "  - drop_constraint:\n"
                       "      table: t\n"
                       "      name: c3\n"
                       "      was: { foreign_key: { columns: [kind_id], references: public.kind } }\n");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, CONSTRAINTS, "");
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, CONSTRAINTS, "c1 c, c2 u, c3 f");
    pawl_test_revision(&f, "aaaa0001", "",
                       "up:\n  - drop_constraint: { table: t, name: c9, was: { check: id > 0 } }\n");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_INPUT, "has no constraint \"c9\"");
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, CONSTRAINTS, "c1 c, c2 u, c3 f");
    pawl_test_end(&f);
}

static void
row_that_violates_is_named_and_the_table_left_as_it_was(void **state)
{
    pawl_test_fixture f = begin("violate");

    (void) state;
    pawl_test_revision(&f, "aaaa0001", "",
                       "up:\n  - add_constraint: { table: t, name: c, check: id <> 77 }\n");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_STATE, "id = 77");
    assert_string_equal(f.err.sqlstate, "23514");
    pawl_test_assert_text(&f, CONSTRAINTS, "");
    pawl_test_exec(f.db, "DELETE FROM t WHERE id = 77");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, CONSTRAINTS, "c c");
    pawl_test_must_go(&f, false, "base");

    pawl_test_exec(f.db, "UPDATE t SET kind_id = 5 WHERE id = 9");
    pawl_test_revision(&f, "aaaa0001", "",
                       "up:\n  - add_constraint: { table: t, name: c, foreign_key: { columns: [kind_id], "
                       "references: kind } }\n");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_STATE, "(kind_id)=(5)");
    pawl_test_assert_text(&f, CONSTRAINTS, "");

    /* The step may be put right. */
    pawl_test_revision(&f, "aaaa0001", "", "up:\n  - add_constraint: { table: t, name: c, check: id > 0 }\n");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, CONSTRAINTS, "c c");
    pawl_test_end(&f);
}

static void
constraint_of_somebody_else_is_neither_taken_nor_dropped(void **state)
{
    pawl_test_fixture f = begin("others");

    (void) state;
    pawl_test_exec(f.db, "ALTER TABLE t ADD CONSTRAINT c CHECK (id > 0), ADD CONSTRAINT u UNIQUE (a)");
    pawl_test_revision(&f, "aaaa0001", "", "up:\n  - add_constraint: { table: t, name: c, check: id > 0 }\n");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_STATE, "has a constraint \"c\" already");
    pawl_test_must_go(&f, false, "base");
    pawl_test_revision(&f, "aaaa0001", "",
                       "up:\n  - add_constraint: { table: t, name: u, unique: { columns: [a] } }\n");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_STATE, "has a constraint \"u\" already");
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, CONSTRAINTS, "c c, u u");
    pawl_test_end(&f);
}

static void
constraint_of_an_older_text_of_the_step_gives_way(void **state)
{
    pawl_test_fixture f = begin("older");

    (void) state;
    pawl_test_revision(&f, "aaaa0001", "", "up:\n  - add_constraint: { table: t, name: c, check: id > 0 }\n");
    pawl_test_up(&f);
    /* As if it had been killed before it validated. */
    pawl_test_exec(f.db,
                   "UPDATE pawl.step SET state = 'running'; UPDATE pawl.revision SET state = 'applying'");
    pawl_test_exec(f.db, "UPDATE pg_constraint SET convalidated = false WHERE conname = 'c'");
    pawl_test_revision(&f, "aaaa0001", "",
                       "up:\n  - add_constraint: { table: t, name: c, check: id > -1 }\n");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, CONSTRAINTS, "c c");
    pawl_test_assert_text(&f, "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'c'",
                          "CHECK ((id > '-1'::integer))");
    pawl_test_end(&f);
}

/* The second table of a foreign key is asked for without waiting: who waits twice makes others deadlock. */
static void
second_lock_of_a_foreign_key_is_not_waited_for(void **state)
{
    pawl_test_fixture f = begin("nowait");
    PGconn *conn = pawl_test_connect(f.db);

    (void) state;
    pawl_test_revision(&f, "aaaa0001", "",
                       "up:\n  - add_constraint: { table: t, name: c, foreign_key: { columns: [kind_id], "
                       "references: kind } }\n");
    pawl_test_run_on(conn, "SET application_name = 'writer'; BEGIN; UPDATE t SET a = a WHERE id = 1");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_SERVER, "given up after 4 attempts");
    assert_string_equal(f.err.sqlstate, "55P03");
    assert_non_null(strstr(f.err.message, "could not obtain lock on relation \"public.t\""));
    assert_non_null(strstr(f.err.detail, "writer"));
    PQfinish(conn);
    pawl_test_up(&f);
    pawl_test_assert_text(&f, CONSTRAINTS, "c f");

    conn = pawl_test_connect(f.db);
    pawl_test_run_on(conn, "BEGIN; LOCK TABLE kind IN ROW EXCLUSIVE MODE");
    pawl_test_must_fail(&f, false, "base", PAWL_E_SERVER,
                        "could not obtain lock on relation \"public.kind\"");
    PQfinish(conn);
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, CONSTRAINTS, "");
    pawl_test_end(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constraints_go_up_and_down),
        cmocka_unit_test(dropped_constraints_come_back_validated),
        cmocka_unit_test(row_that_violates_is_named_and_the_table_left_as_it_was),
        cmocka_unit_test(constraint_of_somebody_else_is_neither_taken_nor_dropped),
        cmocka_unit_test(constraint_of_an_older_text_of_the_step_gives_way),
        cmocka_unit_test(second_lock_of_a_foreign_key_is_not_waited_for),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
