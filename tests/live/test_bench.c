#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/project.h"
#include "support/server.h"
#include "support/session.h"
#include "util/strbuf.h"

#include "pawl/bench.h"

#include "util/banned.h"

#define SCRATCH "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'pawl%'"

#define PRICE "return function(row) return { amount = row.price:sub(2) } end"

#define BACKFILL                                                                                        \
    "  - backfill: { table: public.products, read: [price], write: [amount], lua: transforms/price.lua" \
    "%s }\n"                                                                                            \
    "    down: nothing\n"

/* Everything that was emitted, a line each; and what to do at the first measured cell. */
typedef struct heard
{
    pawl_strbuf text;
    int cells;
    pawl_stop *stop;
    int requests;   /* of the stop, at the first cell */
    const char *db; /* ask `question` at the first cell */
    const char *question;
    int64_t answer;
} heard;

static void
hear(void *ctx, const pawl_event *event)
{
    heard *h = ctx;

    pawl_strbuf_addf(&h->text, "%s: %s\n", pawl_event_kind_name(event->kind),
                     event->text == NULL ? "" : event->text);
    if (event->kind != PAWL_EVENT_BENCH_CELL)
        return;
    h->cells++;
    if (h->cells != 1)
        return;
    for (int i = 0; i < h->requests; i++)
        pawl_stop_request(h->stop);
    if (h->question != NULL)
        h->answer = pawl_test_query_i64(h->db, h->question);
}

/* A project over a database with 3,000 products, and the outcome of the last benchmark. */
typedef struct fixture
{
    const char *db;
    const char *dir;
    heard heard;
    pawl_error err;
    pawl_bench_report *report;
} fixture;

static fixture
begin(const char *name, const char *ddl)
{
    fixture f = {.db = pawl_test_database_new(name), .heard = {.text = PAWL_STRBUF_INIT}};

    f.heard.db = f.db;
    f.dir = pawl_test_project_new(f.db, NULL);
    pawl_test_project_write(f.dir, "migrations/transforms/price.lua", PRICE);
    pawl_test_exec(f.db, ddl);
    pawl_test_exec(
        f.db, "INSERT INTO products (id, price) SELECT g, '$' || g || '.50' FROM generate_series(1, 3000) g;"
              "ANALYZE products");
    return f;
}

#define PRODUCTS "CREATE TABLE products (id bigint PRIMARY KEY, price text, amount numeric)"

static void
end(fixture *f)
{
    pawl_strbuf_fini(&f->heard.text);
    pawl_bench_free(f->report);
}

/* `more` goes into the backfill, `before` stands before it among the steps. */
static void
revision(const fixture *f, const char *id, const char *parent, const char *before, const char *more)
{
    PAWL_STRBUF_AUTO(text);
    PAWL_STRBUF_AUTO(name);

    pawl_strbuf_addf(&name, "migrations/%s.yaml", id);
    pawl_strbuf_addf(&text, "revision: \"%s\"\nparents: [%s]\ndescription: x\nup:\n%s", id, parent, before);
    if (more != NULL)
        pawl_strbuf_addf(&text, BACKFILL, more);
    pawl_test_project_write(f->dir, name.data, text.data);
}

static pawl_status
bench(fixture *f, const char *name, int64_t rows)
{
    static const int32_t batches[] = {100, 1000};
    static const int32_t workers[] = {2};
    const pawl_bench_options what = {.revision = name,
                                     .sample_rows = rows,
                                     .repeats = 2,
                                     .batch_rows = batches,
                                     .nbatch_rows = 2,
                                     .workers = workers,
                                     .nworkers = 1};
    const pawl_run_options options = {.stop = f->heard.stop, .sink = {.emit = hear, .ctx = &f->heard}};
    PAWL_STRBUF_AUTO(config);
    pawl_project *project = NULL;

    pawl_strbuf_addf(&config, "%s/pawl.yaml", f->dir);
    const pawl_project_options open = {.config = config.data};

    pawl_strbuf_reset(&f->heard.text);
    f->heard.cells = 0;
    f->err = (pawl_error) PAWL_ERROR_INIT;
    pawl_bench_free(f->report);
    f->report = NULL;
    if (pawl_project_open(&open, &project, &f->err) != PAWL_OK)
        fail_msg("%s", f->err.message);
    pawl_status st = pawl_bench_run(project, &what, &options, &f->report, &f->err);
    assert_int_equal(st, f->err.code);
    pawl_project_close(project);
    return st;
}

static void
must(fixture *f, const char *name, int64_t rows)
{
    if (bench(f, name, rows) != PAWL_OK)
        fail_msg("%s; %s; %s [%s]", f->err.message, f->err.detail, f->err.hint, f->err.sqlstate);
    assert_int_equal(pawl_test_query_i64(f->db, SCRATCH), 0);
}

static void
must_fail(fixture *f, const char *name, pawl_status code, const char *words)
{
    pawl_status st = bench(f, name, 1000);

    if (st != code)
        fail_msg("expected %s, got %s: %s", pawl_status_name(code), pawl_status_name(st), f->err.message);
    if (strstr(f->err.message, words) == NULL && strstr(f->err.hint, words) == NULL)
        fail_msg("\"%s\" is not in: %s (%s)", words, f->err.message, f->err.hint);
    assert_null(f->report);
    assert_int_equal(pawl_test_query_i64(f->db, SCRATCH), 0);
}

static void
a_sample_is_measured_and_nothing_is_left_behind(void **state)
{
    fixture f = begin("sample", PRODUCTS);
    int64_t before = pawl_test_query_i64(f.db, "SELECT sum(xmin::text::bigint) FROM products");

    (void) state;
    revision(&f, "aaaa0001", "", "", "");
    must(&f, "aaaa", 2000);
    assert_int_equal(f.report->sample_rows, 2000);
    assert_int_equal(f.report->table_rows, 3000);
    assert_int_equal(f.report->ncells, 2);
    assert_int_equal(f.report->step, 1);
    assert_string_equal(f.report->revision, "aaaa0001");
    assert_string_equal(f.report->table, "public.products");
    for (size_t i = 0; i < 2; i++)
    {
        const pawl_bench_cell *c = &f.report->cells[i];

        assert_int_equal(c->batch_rows, i == 0 ? 100 : 1000);
        assert_int_equal(c->workers, 2);
        assert_int_equal(c->runs, 2);
        assert_true(c->rows_per_s > 0.0 && c->rows_per_s_min <= c->rows_per_s &&
                    c->rows_per_s <= c->rows_per_s_max);
        assert_true(c->batch_p50_ms > 0.0 && c->batch_p50_ms <= c->batch_p99_ms);
    }
    assert_true(f.report->cells[0].is_recommended != f.report->cells[1].is_recommended);
    assert_non_null(strstr(f.report->advice, "In the step: `workers: 2` and `batch: 1"));
    assert_int_equal(f.heard.cells, 4);
    assert_int_equal(pawl_test_query_i64(f.db, "SELECT sum(xmin::text::bigint) FROM products"), before);
    assert_int_equal(pawl_test_query_i64(f.db, "SELECT count(*) FROM products WHERE amount IS NOT NULL"), 0);
    end(&f);
}

static void
the_sample_lies_in_the_middle_and_is_contiguous(void **state)
{
    fixture f = begin("middle", PRODUCTS);

    (void) state;
    /* The last copy at the first cell: 1,000 of 3,000 rows. */
    f.heard.question =
        "SELECT max(((xpath('/row/c/text()', query_to_xml(format("
        "'SELECT CASE WHEN max(id) - min(id) = 999 AND min(id) BETWEEN 900 AND 1100 AND count(*) = 1000"
        " AND count(amount) = 1000 THEN 1 ELSE 0 END AS c FROM %I.products', nspname), false, true, '')))"
        "[1])::text::bigint) FROM pg_namespace WHERE nspname LIKE 'pawl_bench%'";
    revision(&f, "aaaa0001", "", "", "");
    must(&f, "aaaa", 1000);
    assert_int_equal(f.heard.answer, 1);
    end(&f);
}

static void
a_stop_in_the_middle_leaves_nothing_behind(void **state)
{
    fixture f = begin("stopped", PRODUCTS);

    (void) state;
    revision(&f, "aaaa0001", "", "", "");
    for (f.heard.requests = 1; f.heard.requests <= 2; f.heard.requests++)
    {
        assert_int_equal(pawl_stop_new(&f.heard.stop, &f.err), PAWL_OK);
        must_fail(&f, "aaaa", PAWL_E_STOPPED, "the benchmark was stopped");
        assert_int_equal(f.heard.cells, 1);
        pawl_stop_free(f.heard.stop);
        f.heard.stop = NULL;
    }
    end(&f);
}

static void
a_copy_has_what_costs_time_and_ties_nothing_to_the_table(void **state)
{
    fixture f = begin("shapes",
                      "CREATE TABLE kinds (id int PRIMARY KEY); INSERT INTO kinds VALUES (1);"
                      "CREATE TABLE products (a text DEFAULT 'x', id bigint, price text, amount numeric,"
                      "  s serial, g int GENERATED ALWAYS AS (id * 2) STORED NOT NULL, i int GENERATED ALWAYS"
                      "  AS IDENTITY, k int DEFAULT 1 REFERENCES kinds, \"q \"\"Q\" text DEFAULT 'q',"
                      "  PRIMARY KEY (a, id)) WITH (fillfactor = 80);"
                      "CREATE INDEX ON products (lower(price)) WHERE id > 5;"
                      "CREATE INDEX ON products USING brin (id);"
                      "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''no''; END';"
                      "CREATE TRIGGER t BEFORE UPDATE ON products FOR EACH ROW EXECUTE FUNCTION f()");

    (void) state;
    /* Old rows need not pass it; written ones do. */
    pawl_test_exec(f.db, "ALTER TABLE products ADD CONSTRAINT filled CHECK (amount IS NOT NULL) NOT VALID");
    revision(&f, "aaaa0001", "", "", "");
    f.heard.question =
        "SELECT (SELECT count(*) FROM pg_index WHERE indrelid = c.oid) * 100"
        "  + (SELECT count(*) FROM pg_constraint WHERE conrelid = c.oid AND contype = 'c') * 10"
        "  + (SELECT count(*) FROM pg_constraint WHERE conrelid = c.oid AND contype = 'f')"
        "  + (SELECT count(*) FROM pg_trigger WHERE tgrelid = c.oid)"
        "  + (SELECT count(*) FROM pg_attrdef WHERE adrelid = c.oid) - 1"
        "  + CASE WHEN 'fillfactor=80' = ANY (c.reloptions) THEN 1000 ELSE 0 END"
        "  FROM pg_class c WHERE relname = 'products' AND relnamespace <> 'public'::regnamespace";
    must(&f, "aaaa", 1000);
    assert_int_equal(f.heard.answer, 1310);
    assert_non_null(strstr(f.report->advice, "the table's triggers, its foreign keys"));
    end(&f);
}

static void
a_column_that_the_revision_itself_adds_is_added_to_the_copy(void **state)
{
    fixture f = begin("added", "CREATE TABLE products (id bigint PRIMARY KEY, price text)");

    (void) state;
    revision(&f, "aaaa0001", "",
             "  - add_column: { table: products, column: amount, type: \"numeric(10,2)\" }\n",
             ", where: \"amount IS NULL\"");
    must(&f, "aaaa", 1000);
    assert_int_equal(f.report->step, 2);
    assert_int_equal(pawl_test_query_i64(f.db, "SELECT count(*) FROM pg_attribute WHERE attname = 'amount'"),
                     0);
    end(&f);
}

static void
a_missing_column_names_the_revision_to_apply_first(void **state)
{
    fixture f = begin("missing", "CREATE TABLE products (id bigint PRIMARY KEY, price text)");

    (void) state;
    revision(&f, "aaaa0001", "", "  - sql: SELECT 1\n    down: nothing\n", NULL);
    revision(&f, "bbbb0002", "aaaa0001",
             "  - add_column: { table: products, column: amount, type: numeric }\n", NULL);
    revision(&f, "cccc0003", "bbbb0002", "", "");
    must_fail(&f, "cccc", PAWL_E_STATE, "pawl upgrade bbbb0002");
    end(&f);
}

static void
a_table_that_is_done_says_so(void **state)
{
    fixture f = begin("done", PRODUCTS);

    (void) state;
    pawl_test_exec(f.db, "UPDATE products SET amount = 1");
    revision(&f, "aaaa0001", "", "", ", where: \"amount IS NULL\"");
    must_fail(&f, "aaaa", PAWL_E_STATE, "nothing to measure");
    end(&f);
}

static void
a_row_that_fails_leaves_nothing_behind(void **state)
{
    fixture f = begin("failing", PRODUCTS);

    (void) state;
    pawl_test_exec(f.db, "UPDATE products SET price = '$abc' WHERE id = 1500");
    revision(&f, "aaaa0001", "", "", "");
    must_fail(&f, "aaaa", PAWL_E_SERVER, "on the sample");
    end(&f);
}

static void
a_publication_of_all_tables_is_refused(void **state)
{
    fixture f = begin("published", PRODUCTS);

    (void) state;
    pawl_test_exec(f.db, "CREATE PUBLICATION everything FOR ALL TABLES");
    revision(&f, "aaaa0001", "", "", "");
    must_fail(&f, "aaaa", PAWL_E_REFUSED, "everything");
    end(&f);
}

static void
the_wrong_step_is_named(void **state)
{
    fixture f = begin("steps", PRODUCTS);

    (void) state;
    revision(&f, "aaaa0001", "", "  - sql: SELECT 1\n    down: nothing\n", NULL);
    must_fail(&f, "aaaa", PAWL_E_USAGE, "no backfill");
    must_fail(&f, "bbbb", PAWL_E_USAGE, "bbbb");
    end(&f);
}

static void
leftovers_of_killed_benchmarks_are_removed_and_nothing_else_is(void **state)
{
    fixture f = begin("leftovers", PRODUCTS);
    PGconn *alive = pawl_test_connect(f.db);

    (void) state;
    pawl_test_exec(f.db,
                   "CREATE SCHEMA pawl_bench_aaaaaaaa;"
                   "COMMENT ON SCHEMA pawl_bench_aaaaaaaa IS 'pawl bench of h:1, backend 999999 of"
                   " 2020-01-01 00:00:00.000000+00, made at 2020-01-01 00:00:00.000000';"
                   "CREATE TABLE pawl_bench_aaaaaaaa.t ();"
                   "CREATE SCHEMA pawl_bench_bbbbbbbb;"
                   "CREATE SCHEMA pawl_bench_dddddddd; COMMENT ON SCHEMA pawl_bench_dddddddd IS 'of a user'");
    pawl_test_run_on(alive,
                     "CREATE SCHEMA pawl_bench_cccccccc; DO $$ BEGIN EXECUTE (SELECT format("
                     "'COMMENT ON SCHEMA pawl_bench_cccccccc IS %L', format("
                     "'pawl bench of h:1, backend %s of %s+00, made at 2020-01-01 00:00:00.000000', pid,"
                     " to_char(timezone('UTC', backend_start), 'YYYY-MM-DD HH24:MI:SS.US')))"
                     " FROM pg_stat_activity WHERE pid = pg_backend_pid()); END $$");
    revision(&f, "aaaa0001", "", "", "");
    assert_int_equal(bench(&f, "aaaa", 1000), PAWL_OK);
    char *left = pawl_test_query_text(
        f.db,
        "SELECT string_agg(nspname, ' ' ORDER BY nspname) FROM pg_namespace WHERE nspname LIKE 'pawl%'");

    assert_string_equal(left, "pawl_bench_bbbbbbbb pawl_bench_cccccccc pawl_bench_dddddddd");
    assert_non_null(strstr(f.heard.text.data, "removed schema \"pawl_bench_aaaaaaaa\""));
    free(left);
    PQfinish(alive);
    end(&f);
}

static void
a_killed_program_leaves_what_the_next_one_removes(void **state)
{
    static const char *const env[] = {"PAWL_FAILPOINT=backfill.before_commit=kill@5", NULL};
    fixture f = begin("killed", PRODUCTS);

    (void) state;
    revision(&f, "aaaa0001", "", "", "");
    pawl_test_output output = pawl_test_pawl(f.dir, "bench", "aaaa0001", env);
    int signal_number = output.signal_number;

    pawl_test_output_free(&output);
    if (signal_number == 0)
        skip(); /* built without failpoints */
    assert_int_equal(pawl_test_query_i64(f.db, SCRATCH), 1);
    pawl_test_wait_until(
        f.db, "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'pawl%'", 10000);
    must(&f, "aaaa", 1000);
    end(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sample_is_measured_and_nothing_is_left_behind),
        cmocka_unit_test(the_sample_lies_in_the_middle_and_is_contiguous),
        cmocka_unit_test(a_stop_in_the_middle_leaves_nothing_behind),
        cmocka_unit_test(a_copy_has_what_costs_time_and_ties_nothing_to_the_table),
        cmocka_unit_test(a_column_that_the_revision_itself_adds_is_added_to_the_copy),
        cmocka_unit_test(a_missing_column_names_the_revision_to_apply_first),
        cmocka_unit_test(a_table_that_is_done_says_so),
        cmocka_unit_test(a_row_that_fails_leaves_nothing_behind),
        cmocka_unit_test(a_publication_of_all_tables_is_refused),
        cmocka_unit_test(the_wrong_step_is_named),
        cmocka_unit_test(leftovers_of_killed_benchmarks_are_removed_and_nothing_else_is),
        cmocka_unit_test(a_killed_program_leaves_what_the_next_one_removes),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
