#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/migration.h"
#include "support/process.h"
#include "support/project.h"
#include "support/server.h"
#include "support/session.h"

#include "util/banned.h"

#define INDEXES                                                                                         \
    "SELECT coalesce(string_agg(c.relname || CASE WHEN i.indisunique THEN '!' ELSE '' END || "          \
    "CASE WHEN i.indisvalid THEN '' ELSE ' invalid' END, ', ' ORDER BY c.relname), '') "                \
    "FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = 't'::regclass AND NOT " \
    "i.indisprimary"

static void
index_revision(const pawl_test_fixture *f, const char *body)
{
    PAWL_STRBUF_AUTO(text);

    pawl_strbuf_addf(&text, "up:\n  - create_index: %s\n", body);
    pawl_test_revision(f, "aaaa0001", "", text.data);
}

/* ---- there and back ---------------------------------------------------------------------------------------------- */

static void
indexes_go_up_and_down(void **state)
{
    pawl_test_fixture f = pawl_test_begin("indexes");

    (void) state;
    pawl_test_exec(f.db, "ALTER TABLE t ADD \"B b\" int");
    pawl_test_revision(
        &f, "aaaa0001", "",
        "up:\n"
        "  - create_index: { table: t, name: t_a, columns: [a] }\n"
        "  - create_index:\n"
        "      table: public.t\n"
        "      name: \"T x\"\n"
        "      columns: [\"lower(a) DESC -- down\", '\"B b\"', \"(id + 1)\"]\n"
        "      include: [id]\n"
        "      where: \"id > 10 -- most\"\n"
        "      method: btree\n"
        "  - create_index: { table: t, name: t_u, columns: [id, a], unique: true, concurrently: false }\n"
        "  - drop_index: { name: public.t_a }\n"
        "  - drop_index: { name: t_u, was: { table: t, columns: [a, id], unique: true } }\n");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, INDEXES, "T x");
    pawl_test_assert_text(&f, "SELECT pg_get_indexdef('\"T x\"'::regclass)",
                          "CREATE INDEX \"T x\" ON public.t USING btree (lower(a) DESC, \"B b\", ((id + 1))) "
                          "INCLUDE (id) WHERE (id > 10)");
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, INDEXES, "");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, INDEXES, "T x");
    pawl_test_end(&f);
}

static void
dropped_index_comes_back_as_it_was(void **state)
{
    pawl_test_fixture f = pawl_test_begin("dropidx");

    (void) state;
    pawl_test_exec(f.db,
                   "CREATE SCHEMA s; CREATE TABLE s.u (x int, y text); "
                   "CREATE UNIQUE INDEX \"By INDEX y\" ON s.u (lower(y) text_pattern_ops DESC) WHERE x > 1; "
                   "CREATE INDEX t_a ON t USING hash (a)");
    pawl_test_revision(&f, "aaaa0001", "",
                       "up:\n"
                       "  - drop_index: { name: 's.\"By INDEX y\"' }\n"
                       "  - drop_index: { name: t_a, concurrently: false }\n");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, "SELECT count(*)::text FROM pg_index WHERE indrelid IN ('s.u'::regclass)", "0");
    pawl_test_assert_text(&f, INDEXES, "");
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, "SELECT pg_get_indexdef('s.\"By INDEX y\"'::regclass)",
                          "CREATE UNIQUE INDEX \"By INDEX y\" ON s.u USING btree (lower(y) text_pattern_ops "
                          "DESC) WHERE (x > 1)");
    pawl_test_assert_text(&f, "SELECT pg_get_indexdef('t_a'::regclass)",
                          "CREATE INDEX t_a ON public.t USING hash (a)");
    pawl_test_end(&f);
}

static void
index_that_was_there_before_stays_and_another_shape_is_refused(void **state)
{
    pawl_test_fixture f = pawl_test_begin("wasthere");

    (void) state;
    pawl_test_exec(f.db, "CREATE INDEX t_a ON t (lower(a))");
    index_revision(&f, "{ table: t, name: t_a, columns: [a] }");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_STATE, "in another shape");
    index_revision(&f, "{ table: t, name: t_a, columns: [lower(a)], unique: true }");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_STATE, "in another shape");
    index_revision(&f, "{ table: t, name: t_pkey, columns: [id], unique: true }");
    pawl_test_up(&f);
    pawl_test_must_go(&f, false, "base");
    index_revision(&f, "{ table: t, name: t_a, columns: [lower(a)] }");
    pawl_test_up(&f);
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, INDEXES, "t_a");
    index_revision(&f, "{ table: t, name: t, columns: [a] }");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_STATE, "it is no index of");
    pawl_test_end(&f);
}

static void
wrong_index_is_refused_before_it_is_built(void **state)
{
    pawl_test_fixture f = pawl_test_begin("wrongidx");

    (void) state;
    index_revision(&f, "{ table: t, name: t_b, columns: [b] }");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_SERVER, "\"b\" does not exist");
    pawl_test_assert_text(&f, "SELECT (info ? 'building')::text FROM pawl.step", "false");
    /* It may be put right: nothing was begun. */
    index_revision(&f, "{ table: t, name: t_b, columns: [a] }");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, INDEXES, "t_b");
    pawl_test_must_go(&f, false, "base");

    pawl_test_exec(f.db, "CREATE TABLE p (id int) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p "
                         "FOR VALUES FROM (0) TO (9)");
    index_revision(&f, "{ table: p, name: p_id, columns: [id] }");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_REFUSED, "partitioned");
    index_revision(&f, "{ table: p, name: p_id, columns: [id], concurrently: false }");
    pawl_test_up(&f);
    pawl_test_revision(&f, "bbbb0002", "aaaa0001", "up:\n  - drop_index: { name: p_id }\n");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_REFUSED, "concurrently: false");
    pawl_test_revision(&f, "bbbb0002", "aaaa0001", "up:\n  - drop_index: { name: t_pkey }\n");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_REFUSED, "belongs to the constraint");
    pawl_test_end(&f);
}

/* ---- remains ----------------------------------------------------------------------------------------------------- */

static void
make_invalid(const char *db, const char *name)
{
    PAWL_STRBUF_AUTO(sql);
    PGconn *conn = pawl_test_connect(db);

    pawl_strbuf_addf(&sql, "CREATE UNIQUE INDEX CONCURRENTLY %s ON t ((id / 2))", name);
    PGresult *res = PQexec(conn, sql.data);
    assert_string_equal(PQresultErrorField(res, PG_DIAG_SQLSTATE), "23505");
    PQclear(res);
    PQfinish(conn);
}

static void
invalid_remain_is_removed_and_the_index_built_again(void **state)
{
    pawl_test_fixture f = pawl_test_begin("remain");

    (void) state;
    make_invalid(f.db, "t_a");
    pawl_test_assert_text(&f, INDEXES, "t_a! invalid");
    index_revision(&f, "{ table: t, name: t_a, columns: [a] }");
    pawl_test_up(&f);
    assert_non_null(strstr(f.heard.text.data, "removed an invalid index"));
    pawl_test_assert_text(&f, INDEXES, "t_a");
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, INDEXES, "");
    pawl_test_end(&f);
}

static void
duplicates_are_named_and_nothing_is_left(void **state)
{
    pawl_test_fixture f = pawl_test_begin("dups");

    (void) state;
    pawl_test_exec(f.db, "UPDATE t SET a = 'twice' WHERE id IN (7, 8)");
    index_revision(&f, "{ table: t, name: t_a, columns: [a], unique: true }");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_SERVER, "(a)=(twice) is duplicated");
    pawl_test_assert_text(&f, INDEXES, "");
    pawl_test_exec(f.db, "UPDATE t SET a = 'once' WHERE id = 8");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, INDEXES, "t_a!");
    pawl_test_end(&f);
}

static void
remain_of_a_step_that_was_renamed_goes(void **state)
{
    pawl_test_fixture f = pawl_test_begin("renamed");

    (void) state;
    pawl_test_exec(f.db, "UPDATE t SET a = 'twice' WHERE id IN (7, 8)");
    index_revision(&f, "{ table: t, name: t_a, columns: [a], unique: true }");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_SERVER, "is duplicated");
    make_invalid(f.db, "t_a");
    index_revision(&f, "{ table: t, name: t_b, columns: [a] }");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, INDEXES, "t_b");
    pawl_test_end(&f);
}

/* Ends the transaction that a builder waits for, a moment after the step has looked. */
static void *
release_later(void *ctx)
{
    PGresult *res = PQexec(ctx, "SELECT pg_sleep(1.2); COMMIT");

    PQclear(res);
    return NULL;
}

static void
live_builder_is_waited_for_and_keeps_its_index(void **state)
{
    pawl_test_fixture f = pawl_test_begin("builder");
    PGconn *writer = pawl_test_connect(f.db);
    PGconn *builder = pawl_test_connect(f.db);
    pthread_t thread;

    (void) state;
    pawl_test_run_on(writer, "BEGIN; UPDATE t SET a = a WHERE id = 1");
    assert_int_equal(PQsendQuery(builder, "CREATE INDEX CONCURRENTLY t_a ON t (a)"), 1);
    pawl_test_wait_until(
        f.db, "SELECT count(*) = 1 FROM pg_index WHERE indrelid = 't'::regclass AND NOT indisvalid", 5000);
    index_revision(&f, "{ table: t, name: t_a, columns: [a] }");
    assert_int_equal(pthread_create(&thread, NULL, release_later, writer), 0);
    pawl_test_up(&f);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_non_null(strstr(f.heard.text.data, "waiting aaaa0001 1: index \"t_a\" is being built by pid"));
    assert_null(strstr(f.heard.text.data, "removed"));
    PGresult *res = PQgetResult(builder);
    assert_int_equal(PQresultStatus(res), PGRES_COMMAND_OK);
    PQclear(res);
    PQfinish(builder);
    PQfinish(writer);
    pawl_test_assert_text(&f, INDEXES, "t_a");
    /* It was not ours. */
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, INDEXES, "t_a");
    pawl_test_end(&f);
}

static void
invalid_index_is_no_remain_while_the_lock_of_a_builder_is_held(void **state)
{
    pawl_test_fixture f = pawl_test_begin("held");
    PGconn *conn = pawl_test_connect(f.db);

    (void) state;
    make_invalid(f.db, "t_a");
    pawl_test_run_on(conn, "BEGIN; LOCK TABLE t IN SHARE UPDATE EXCLUSIVE MODE");
    index_revision(&f, "{ table: t, name: t_a, columns: [a] }");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_SERVER, "given up after 4 attempts");
    pawl_test_assert_text(&f, INDEXES, "t_a! invalid");
    PQfinish(conn);
    pawl_test_up(&f);
    pawl_test_assert_text(&f, INDEXES, "t_a");
    pawl_test_end(&f);
}

/* A killed program's statement runs on in the server; whoever comes next waits for it instead of pulling it away. */
static void
build_of_a_killed_program_is_waited_for_and_is_ours(void **state)
{
    pawl_test_fixture f = pawl_test_begin("orphan");
    PGconn *writer = pawl_test_connect(f.db);
    const char *const args[] = {"upgrade", NULL};
    pthread_t thread;

    (void) state;
    pawl_test_run_on(writer, "BEGIN; UPDATE t SET a = a WHERE id = 1");
    index_revision(&f, "{ table: t, name: t_a, columns: [a] }");
    pawl_test_process *program = pawl_test_start(args, NULL, f.dir);
    pawl_test_wait_until(
        f.db, "SELECT count(*) = 1 FROM pg_index WHERE indrelid = 't'::regclass AND NOT indisvalid", 10000);
    pawl_test_kill(pawl_test_process_pid(program), SIGKILL);
    pawl_test_output output = pawl_test_wait(program, 5000);
    assert_int_equal(output.signal_number, SIGKILL);
    pawl_test_output_free(&output);

    /* Its lease is still there for a while. */
    pawl_test_exec(f.db, "UPDATE pawl.runner SET lease_until = '-infinity'");
    assert_int_equal(pthread_create(&thread, NULL, release_later, writer), 0);
    pawl_test_up(&f);
    assert_int_equal(pthread_join(thread, NULL), 0);
    PQfinish(writer);
    assert_non_null(strstr(f.heard.text.data, "is being built by pid"));
    assert_null(strstr(f.heard.text.data, "removed"));
    pawl_test_assert_text(&f, INDEXES, "t_a");
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, INDEXES, "");
    pawl_test_end(&f);
}

static void
index_is_refused_behind_a_pooler_without_a_direct_address(void **state)
{
    pawl_test_fixture f = pawl_test_begin("pooler");
    PAWL_STRBUF_AUTO(config);

    (void) state;
    index_revision(&f, "{ table: t, name: t_a, columns: [a] }");
    f.overrides[0] = (pawl_key_value){"pooler", "transaction"};
    f.noverrides = 1;
    pawl_test_must_fail(&f, true, NULL, PAWL_E_REFUSED, "direct_database");
    pawl_test_assert_text(&f, "SELECT (info ? 'building')::text FROM pawl.step", "false");
    pawl_test_assert_text(&f, INDEXES, "");
    pawl_strbuf_addf(&config, "database: \"%s\"\ndirect_database: \"%s\"\n", f.db, f.db);
    pawl_test_project_write(f.dir, "pawl.yaml", config.data);
    pawl_test_up(&f);
    pawl_test_assert_text(&f, INDEXES, "t_a");
    pawl_test_end(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(indexes_go_up_and_down),
        cmocka_unit_test(dropped_index_comes_back_as_it_was),
        cmocka_unit_test(index_that_was_there_before_stays_and_another_shape_is_refused),
        cmocka_unit_test(wrong_index_is_refused_before_it_is_built),
        cmocka_unit_test(invalid_remain_is_removed_and_the_index_built_again),
        cmocka_unit_test(duplicates_are_named_and_nothing_is_left),
        cmocka_unit_test(remain_of_a_step_that_was_renamed_goes),
        cmocka_unit_test(live_builder_is_waited_for_and_keeps_its_index),
        cmocka_unit_test(invalid_index_is_no_remain_while_the_lock_of_a_builder_is_held),
        cmocka_unit_test(build_of_a_killed_program_is_waited_for_and_is_ours),
        cmocka_unit_test(index_is_refused_behind_a_pooler_without_a_direct_address),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
