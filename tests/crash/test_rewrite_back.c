/* A way back that is killed in every state ends as an undisturbed one, with all that was written before and meanwhile. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/kill.h"
#include "support/project.h"
#include "support/server.h"
#include "util/strbuf.h"

#include "util/banned.h"

static const char revision_text[] = "revision: \"aaaa0001\"\n"
                                    "parents: []\n"
                                    "up:\n"
                                    "  - rewrite_table:\n"
                                    "      table: product\n"
                                    "      change: { price: \"numeric(10,2)\" }\n"
                                    "      lua: transforms/p.lua\n";

/* The oracle is kept by a trigger of the table, which goes along both ways. */
static const char table_sql[] =
    "CREATE TABLE shop (id int PRIMARY KEY); INSERT INTO shop VALUES (1);"
    "CREATE TABLE product (id int PRIMARY KEY, price text, shop int NOT NULL REFERENCES shop, code int "
    "UNIQUE);"
    "CREATE TABLE oracle (id int PRIMARY KEY, price text, shop int, code int);"
    "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    "  IF TG_OP <> 'INSERT' THEN DELETE FROM oracle WHERE id = OLD.id; END IF;"
    "  IF TG_OP <> 'DELETE' THEN INSERT INTO oracle VALUES (NEW.id, NEW.price::text, NEW.shop, NEW.code); "
    "END "
    "IF; RETURN NULL; END $$;"
    "CREATE TRIGGER keep AFTER INSERT OR UPDATE OR DELETE ON product FOR EACH ROW EXECUTE FUNCTION keep();"
    "CREATE TABLE line (id int PRIMARY KEY, product int REFERENCES product ON UPDATE CASCADE);"
    "INSERT INTO product SELECT i, i || '.50', 1, i FROM generate_series(1, 1500) i;"
    "INSERT INTO line SELECT i, i FROM generate_series(1, 100) i";

/* In either shape of the table; each time other rows. */
static void
write_to(const char *db, int round)
{
    PAWL_STRBUF_AUTO(sql);

    pawl_strbuf_addf(
        &sql,
        "UPDATE product SET price = '%d.25' WHERE id %% 10 = %d;"
        "DELETE FROM product WHERE id = 200 + %d;"
        "INSERT INTO product VALUES (2000 + %d, '8.00', 1, 2000 + %d);"
        "UPDATE product SET id = 3000 + %d WHERE id = 300 + %d;"
        "BEGIN; UPDATE product SET code = -1 WHERE id = %d; UPDATE product SET code = %d WHERE id = %d; "
        "UPDATE product SET code = %d WHERE id = %d; COMMIT",
        round, round % 10, round, round, round, round, round, 400 + round, 400 + round, 1400 - round,
        1400 - round, 400 + round);
    pawl_test_exec(db, sql.data);
}

typedef struct place
{
    const char *point;
    int passage;
} place;

static const place places[] = {
    {"rewrite.before_commit", 1},
    {"rewrite.before_commit", 2},
    {"drain.after_apply", 1},
    {"drain.after_commit", 1},
    {"rewrite.back_drained", 1},
    {"rewrite.in_cut_back", 1},
    {"rewrite.before_cutover_commit", 1},
    {"rewrite.after_cutover_commit", 1},
    {"rewrite.in_unit", 1},
    {"rewrite.before_end", 1},
};

static const char *
begin(const char **db)
{
    const char *dir;

    *db = pawl_test_database_new("back");
    dir = pawl_test_project_new(*db, NULL);
    pawl_test_exec(*db, table_sql);
    pawl_test_project_write(
        dir, "migrations/transforms/p.lua",
        "return { row = function(row) return { price = row.price or pawl.null } end,\n"
        "         reverse = function(row) return { price = row.price or pawl.null } end }\n");
    pawl_test_project_write(dir, "migrations/aaaa0001.yaml", revision_text);
    return dir;
}

static void
assert_is_back(const char *db)
{
    pawl_test_assert_query(
        db,
        "SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ',' ORDER BY attnum) FROM "
        "pg_attribute WHERE attrelid = 'product'::regclass AND attnum > 0",
        "id integer,price text,shop integer,code integer");
    pawl_test_assert_query(
        db,
        "SELECT string_agg(conname || CASE WHEN convalidated THEN '' ELSE '?' END, ',' ORDER BY "
        "conname) FROM "
        "pg_constraint WHERE conrelid IN ('product'::regclass, 'line'::regclass) AND contype <> 'n'",
        "line_pkey,line_product_fkey,product_code_key,product_pkey,product_shop_fkey");
    pawl_test_assert_query(
        db,
        "SELECT (SELECT count(*) FROM pg_class WHERE relname ~ '^(pawl_|change_|lost_)[0-9]') || ' ' "
        "|| (SELECT "
        "count(*) FROM pg_trigger WHERE tgname LIKE 'pawl%')",
        "0 0");
    pawl_test_assert_query(
        db,
        "SELECT count(*) FROM product p FULL JOIN oracle o USING (id) WHERE (p.price, p.shop, "
        "p.code) IS DISTINCT "
        "FROM (o.price, o.shop, o.code)",
        "0");
    pawl_test_assert_query(db, "SELECT state FROM pawl.job ORDER BY job_id LIMIT 1", "abandoned");
}

static void
killed_anywhere_it_goes_on(void **state)
{
    (void) state;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
    {
        const char *db = NULL;
        const char *dir = begin(&db);

        pawl_test_pawl_exits(dir, "upgrade", "head", 0);
        write_to(db, 1);
        pawl_test_must_be_killed(dir, "downgrade", "base", places[i].point, places[i].passage);
        write_to(db, 2);
        pawl_test_pawl_exits(dir, "downgrade", "base", 0);
        write_to(db, 3);
        assert_is_back(db);
    }
}

/* Behind the cut-over, but before the mirror is said to be open: what was captured must not be lost either. */
static void
killed_behind_the_cut_over_the_way_back_is_open(void **state)
{
    static const place there[] = {
        {"rewrite.after_cutover_commit", 1}, {"rewrite.in_unit", 5}, {"rewrite.before_end", 1}};

    (void) state;
    for (size_t i = 0; i < sizeof there / sizeof there[0]; i++)
    {
        const char *db = NULL;
        const char *dir = begin(&db);

        pawl_test_must_be_killed(dir, "upgrade", "head", there[i].point, there[i].passage);
        pawl_test_assert_query(db, "SELECT phase FROM pawl.job", "after");
        write_to(db, 1);
        pawl_test_pawl_exits(dir, "downgrade", "base", 0);
        assert_is_back(db);
    }
}

static void
way_there_and_back_can_be_gone_again(void **state)
{
    const char *db = NULL;
    const char *dir = begin(&db);

    (void) state;
    for (int round = 1; round <= 2; round++)
    {
        pawl_test_pawl_exits(dir, "upgrade", "head", 0);
        write_to(db, round);
        pawl_test_assert_query(db, "SELECT pg_typeof(price)::text FROM product LIMIT 1", "numeric");
        pawl_test_pawl_exits(dir, "downgrade", "base", 0);
        assert_is_back(db);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_anywhere_it_goes_on),
        cmocka_unit_test(killed_behind_the_cut_over_the_way_back_is_open),
        cmocka_unit_test(way_there_and_back_can_be_gone_again),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
