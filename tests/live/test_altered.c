/* Somebody alters a table while a rewrite or a swap of it waits for its cut-over: nothing of that is lost, or nothing is cut
 * over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/project.h"
#include "support/server.h"
#include "util/strbuf.h"

#include "util/banned.h"

#define TABLE                                                               \
    "CREATE TABLE p (id int PRIMARY KEY, price int, other int, gone text);" \
    "INSERT INTO p SELECT i, i, i, 'g' || i FROM generate_series(1, 500) i"

#define REWRITE "  - rewrite_table:\n      table: p\n      change: { price: bigint }\n      cutover: manual\n"
#define SWAP                                                                                 \
    "  - swap_column:\n      table: p\n      column: price\n      type: bigint\n      lua: " \
    "transforms/price.lua\n"                                                                 \
    "      cutover: manual\n"

/* The text of p as the application sees it, but for the column that changes its type. */
#define CONTENT                                                                                           \
    "SELECT md5(string_agg((to_jsonb(t) - 'price' - 'price_new' - 'price_old')::text, ',' ORDER BY id)) " \
    "FROM p t"

/* An upgrade that is ready; what happens then; the cut-over is asked for, and this is how it ends. */
static void
alter_when_ready(const char *step, const char *alteration, int exit_code, const char *words)
{
    const char *db = pawl_test_database_new("altered");
    const char *dir = pawl_test_project_new(db, NULL);
    const char *const args[] = {"upgrade", "head", NULL};
    PAWL_STRBUF_AUTO(text);
    pawl_test_process *process;
    pawl_test_output output;
    char *content;

    pawl_test_exec(db, TABLE);
    pawl_strbuf_addf(&text, "revision: \"aaaa0001\"\nparents: []\ndown: irreversible\nup:\n%s", step);
    pawl_test_project_write(dir, "migrations/aaaa0001.yaml", text.data);
    pawl_test_project_write(dir, "migrations/transforms/price.lua",
                            "return function(row) return { price = row.price } end\n");
    process = pawl_test_start(args, NULL, dir);
    pawl_test_wait_until(db, "SELECT to_regclass('pawl.job') IS NOT NULL", 60000);
    pawl_test_wait_until(db, "SELECT phase = 'ready' FROM pawl.job", 60000);
    pawl_test_exec(db, alteration);
    content = pawl_test_query_text(db, CONTENT);
    pawl_test_pawl_exits(dir, "cutover", "1", 0);
    output = pawl_test_wait(process, 120000);
    if (output.exit_code != exit_code || strstr(output.err, words) == NULL)
        fail_msg("%s: exit code %d, without \"%s\": %s", alteration, output.exit_code, words, output.err);
    pawl_test_output_free(&output);
    pawl_test_assert_query(db, CONTENT, content);
    pawl_test_assert_query(db, "SELECT pg_typeof(price)::text FROM p LIMIT 1",
                           exit_code == 0 ? "bigint" : "integer");
    /* A swap takes up what is there now; a rewrite that cannot is taken back. */
    if (exit_code != 0 && step[4] == 's')
        pawl_test_pawl_exits(dir, "upgrade", "head", 0);
    else if (exit_code != 0)
        pawl_test_pawl_exits(dir, "downgrade", "base", 0);
    pawl_test_assert_query(db, CONTENT, content);
    free(content);
}

static void
columns_that_come_and_go_are_not_lost_by_a_rewrite(void **state)
{
    (void) state;
    alter_when_ready(
        REWRITE, "ALTER TABLE p ADD COLUMN later text DEFAULT 'x'; UPDATE p SET later = 'y' WHERE id < 50", 1,
        "later");
    alter_when_ready(REWRITE, "ALTER TABLE p ADD COLUMN later int GENERATED ALWAYS AS (id * 2) STORED", 1,
                     "later");
    alter_when_ready(REWRITE, "ALTER TABLE p DROP COLUMN gone CASCADE", 1, "gone");
    alter_when_ready(REWRITE, "ALTER TABLE p RENAME other TO others", 1, "other");
    alter_when_ready(REWRITE, "ALTER TABLE p ALTER other SET DEFAULT 5", 1, "default");
    alter_when_ready(REWRITE, "ALTER TABLE p ALTER other SET NOT NULL", 1, "NOT NULL of other");
}

static void
rows_that_a_rewrite_by_others_moves_are_not_lost(void **state)
{
    (void) state;
    alter_when_ready(REWRITE, "VACUUM FULL p", 0, "");
    alter_when_ready(
        REWRITE,
        "ALTER TABLE p DISABLE TRIGGER ALL; UPDATE p SET other = 0; ALTER TABLE p ENABLE TRIGGER ALL", 0,
        "begins again from the start");
    alter_when_ready(REWRITE, "TRUNCATE p; INSERT INTO p VALUES (7, 7, 7, 'again')", 0,
                     "begins again from the start");
}

static void
columns_that_come_and_go_are_not_lost_by_a_swap(void **state)
{
    (void) state;
    alter_when_ready(SWAP, "ALTER TABLE p ADD COLUMN later text DEFAULT 'x'", 1, "later");
    alter_when_ready(SWAP, "ALTER TABLE p DROP COLUMN gone", 1, "gone");
    alter_when_ready(SWAP, "ALTER TABLE p ALTER price SET DEFAULT 5", 1, "default");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_that_come_and_go_are_not_lost_by_a_rewrite),
        cmocka_unit_test(rows_that_a_rewrite_by_others_moves_are_not_lost),
        cmocka_unit_test(columns_that_come_and_go_are_not_lost_by_a_swap),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
