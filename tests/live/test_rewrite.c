/* Tables rewritten while nobody, or everybody, writes to them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "online/rewrite.h"
#include "support/job.h"
#include "support/server.h"
#include "support/session.h"

#include "util/banned.h"

static const pawl_rewrite_id id = {
    .base = {.revision = "test", .direction = "api", .ordinal = 1, .checksum = "c"}, .frozen = "f"};

static void
say(void *ctx, const pawl_event *event)
{
    (void) ctx;
    if (event->text != NULL && getenv("PAWL_TEST_VERBOSE") != NULL)
        print_message("%s\n", event->text);
}

static pawl_status
rewrite(const char *db, const pawl_rewrite_spec *spec, const char *lua_root, pawl_rewrite_result *result,
        pawl_error *err)
{
    pawl_backfill_env base = pawl_test_env(db, lua_root);
    const pawl_sink sink = {.emit = say};
    const pawl_rewrite_env env = {.base = &base};

    base.sink = &sink;

    return pawl_rewrite_run(spec, &env, &id, result, err);
}

static void
must_rewrite(const char *db, const pawl_rewrite_spec *spec, const char *lua_root)
{
    pawl_rewrite_result result;
    pawl_error err = PAWL_ERROR_INIT;

    if (rewrite(db, spec, lua_root, &result, &err) != PAWL_OK)
        fail_msg("%s (%s) %s / %s", err.message, err.sqlstate, err.detail, err.hint);
}

static const char *
products(const char *name)
{
    const char *db = pawl_test_database_new(name);

    pawl_test_ledger(db);
    pawl_test_exec(
        db, "CREATE TABLE product (id int PRIMARY KEY, name text NOT NULL, price text, note text, at "
            "timestamptz DEFAULT '2020-01-01');"
            "INSERT INTO product SELECT i, 'n' || i, CASE WHEN i % 7 = 0 THEN NULL ELSE i || '.50' END, "
            "repeat('x', i % 300) FROM generate_series(1, 5000) i");
    return db;
}

static void
column_gets_another_type_by_an_expression(void **state)
{
    const char *db = products("rewrite_using");
    const pawl_rewrite_column change[] = {
        {.name = "price", .type = "numeric(10,2)", .using = "price::numeric", .not_null = -1}};
    const pawl_rewrite_spec spec = {
        .table = "product", .change = change, .nchange = 1, .batch_rows = 700, .keeps_old = true};

    (void) state;
    must_rewrite(db, &spec, NULL);
    pawl_test_assert_query(
        db,
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'product'::regclass "
        "AND attname = 'price'",
        "numeric(10,2)");
    pawl_test_assert_query(
        db,
        "SELECT count(*) FROM product n FULL JOIN pawl_1_old o USING (id) WHERE n.price IS DISTINCT FROM "
        "o.price::numeric OR (n.name, n.note, n.at) IS DISTINCT FROM (o.name, o.note, o.at)",
        "0");
    pawl_test_assert_query(db, "SELECT count(*) FROM product", "5000");
    pawl_test_assert_query(
        db,
        "SELECT string_agg(conname, ',') FROM pg_constraint WHERE conrelid = 'product'::regclass AND "
        "contype = 'p'",
        "product_pkey");
    pawl_test_assert_query(db, "SELECT state || phase FROM pawl.job", "doneafter");
    pawl_test_assert_query(db, "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'pawl%'", "0");
    pawl_test_assert_query(db, "SELECT to_regclass('pawl.change_1') IS NULL", "t");
}

static void
transform_in_lua_makes_columns_and_leaves_rows_out(void **state)
{
    const char *db = products("rewrite_lua");
    const pawl_rewrite_column change[] = {{.name = "price", .type = "numeric(10,2)", .not_null = -1}};
    const pawl_rewrite_column add[] = {{.name = "tag", .type = "text", .not_null = -1},
                                       {.name = "day", .type = "date", .using = "at::date", .not_null = -1}};
    const char *drop[] = {"note"};
    const char *order[] = {"id", "tag", "name", "price", "at", "day"};
    const char *read[] = {"price", "name"};
    pawl_rewrite_spec spec = {.table = "product",
                              .change = change,
                              .nchange = 1,
                              .add = add,
                              .nadd = 2,
                              .drop = drop,
                              .ndrop = 1,
                              .order = order,
                              .norder = 6,
                              .read = read,
                              .nread = 2,
                              .lua_file = "transforms/p.lua",
                              .where = "id <> 13",
                              .batch_rows = 900,
                              .keeps_old = true};

    (void) state;
    must_rewrite(db, &spec,
                 pawl_test_transform("p",
                                     "return function(row)\n"
                                     "  if row.id % 10 == 0 then return nil end\n"
                                     "  return { price = row.price or pawl.null, tag = row.name .. '!' }\n"
                                     "end\n"));
    pawl_test_assert_query(
        db,
        "SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute WHERE attrelid = "
        "'product'::regclass AND attnum > 0",
        "id,tag,name,price,at,day");
    pawl_test_assert_query(db, "SELECT count(*) FROM product", "4499");
    pawl_test_assert_query(
        db,
        "SELECT count(*) FROM product n FULL JOIN (SELECT * FROM pawl_1_old WHERE id % 10 <> 0 AND id <> 13) "
        "o USING (id) WHERE (n.price, n.tag, n.day) IS DISTINCT FROM (o.price::numeric, o.name || '!', "
        "o.at::date)",
        "0");
}

static void
types_without_an_encoding_go_as_text(void **state)
{
    const char *db = products("rewrite_text");
    const pawl_rewrite_column add[] = {{.name = "tags", .type = "text[]", .not_null = -1}};
    const char *read[] = {"name"};
    const pawl_rewrite_spec spec = {.table = "product",
                                    .add = add,
                                    .nadd = 1,
                                    .read = read,
                                    .nread = 1,
                                    .lua_file = "transforms/t.lua",
                                    .keeps_old = true};

    (void) state;
    pawl_test_exec(db, "UPDATE product SET note = E'tab\\t back\\\\slash \\n line' WHERE id = 5");
    must_rewrite(
        db, &spec,
        pawl_test_transform("t", "return function(row) return { tags = { row.name, 'a b', n = 2 } } end\n"));
    pawl_test_assert_query(
        db,
        "SELECT count(*) FROM product n FULL JOIN pawl_1_old o USING (id) WHERE n.tags IS DISTINCT FROM "
        "ARRAY[o.name, 'a b'] OR (n.name, n.note, n.at, n.price) IS DISTINCT FROM (o.name, o.note, o.at, "
        "o.price)",
        "0");
}

/* A table on which one of everything hangs. */
static const char rich_sql[] =
    "CREATE ROLE reader; CREATE SCHEMA IF NOT EXISTS aux;"
    "CREATE TABLE shop (id int PRIMARY KEY, name text); INSERT INTO shop VALUES (1, 'a');"
    "CREATE TABLE item (id serial PRIMARY KEY, seq bigint GENERATED BY DEFAULT AS IDENTITY, shop int NOT "
    "NULL REFERENCES "
    "shop ON DELETE CASCADE, parent int REFERENCES item, price text CHECK (price <> 'x'), code int "
    "CONSTRAINT item_code_u "
    "UNIQUE, span int4range, twice int GENERATED ALWAYS AS (code * 2) STORED, \"odd \"\" name\" text DEFAULT "
    "'q', "
    "EXCLUDE USING gist (span WITH &&));"
    "CREATE TABLE line (id int PRIMARY KEY, item int CONSTRAINT line_item_fk REFERENCES item ON UPDATE "
    "CASCADE);"
    "CREATE INDEX item_part ON item (shop, lower(\"odd \"\" name\")) INCLUDE (code) WHERE code > 5;"
    "CREATE STATISTICS aux.item_stat (dependencies) ON shop, code FROM item; COMMENT ON INDEX item_part IS "
    "'idx';"
    "COMMENT ON TABLE item IS 'it''s'; COMMENT ON COLUMN item.price IS 'money'; ALTER TABLE item ALTER code "
    "SET STATISTICS 77;"
    "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;"
    "CREATE TRIGGER t1 BEFORE UPDATE OF price ON item FOR EACH ROW WHEN (OLD.code > 1) EXECUTE FUNCTION "
    "nothing();"
    "ALTER TABLE item ENABLE ALWAYS TRIGGER t1; CREATE RULE r1 AS ON DELETE TO item WHERE OLD.code = -5 DO "
    "NOTHING;"
    "CREATE POLICY p1 ON item FOR SELECT TO reader USING (code > 0); ALTER TABLE item ENABLE ROW LEVEL "
    "SECURITY;"
    "GRANT SELECT, UPDATE (price) ON item TO reader; ALTER TABLE item SET (fillfactor = 80); ALTER TABLE "
    "item REPLICA "
    "IDENTITY FULL; ALTER DEFAULT PRIVILEGES GRANT DELETE ON TABLES TO reader;"
    "INSERT INTO item (shop, price, code, span) SELECT 1, i || '.5', i, int4range(i * 10, i * 10 + 5) FROM "
    "generate_series(1, 2000) i; UPDATE item SET parent = id - 1 WHERE id > 1; INSERT INTO line SELECT i, i "
    "FROM "
    "generate_series(1, 50) i;";

static void
everything_that_hangs_on_the_table_comes_along(void **state)
{
    const char *db = pawl_test_database_new("rewrite_rich");
    const pawl_rewrite_column change[] = {
        {.name = "price", .type = "numeric(10,2)", .using = "price::numeric", .not_null = -1},
        {.name = "id", .type = "bigint", .not_null = -1}};
    pawl_rewrite_spec spec = {.table = "item", .change = change, .nchange = 1, .keeps_old = false};
    pawl_rewrite_result result;
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    pawl_test_ledger(db);
    pawl_test_exec(db, rich_sql);
    /* The check compares with a text: the new type does not bear it, and nothing of the attempt is left. */
    assert_int_equal(rewrite(db, &spec, NULL, &result, &err), PAWL_E_SERVER);
    pawl_test_assert_contains(err.message, "item_price_check");
    pawl_test_assert_query(db, "SELECT count(*) FROM pg_class WHERE relname LIKE 'pawl%' AND relkind = 'r'",
                           "0");
    pawl_test_assert_query(db, "SELECT string_agg(state, ',') FROM pawl.job", "abandoned");
    pawl_test_exec(
        db, "ALTER TABLE item DROP CONSTRAINT item_price_check, ADD CONSTRAINT item_code_c CHECK (code > 0)");
    must_rewrite(db, &spec, NULL);
    pawl_test_assert_query(
        db,
        "SELECT count(*) FROM pg_class WHERE relname LIKE 'pawl%' AND relnamespace = 'public'::regnamespace",
        "0");
    pawl_test_assert_query(
        db,
        "SELECT string_agg(conname || contype::text || convalidated::text, ',' ORDER BY conname) FROM "
        "pg_constraint WHERE "
        "(conrelid = 'item'::regclass OR confrelid = 'item'::regclass) AND contype <> 'n'",
        "item_code_cctrue,item_code_uutrue,item_parent_fkeyftrue,item_pkeyptrue,item_shop_fkeyftrue,"
        "item_span_exclxtrue,line_item_fkftrue");
    pawl_test_assert_query(db, "SELECT relacl::text FROM pg_class WHERE oid = 'item'::regclass",
                           "{postgres=arwdDxt/postgres,reader=r/postgres}");
    pawl_test_assert_query(
        db, "SELECT attacl::text FROM pg_attribute WHERE attrelid = 'item'::regclass AND attname = 'price'",
        "{reader=w/postgres}");
    pawl_test_assert_query(
        db, "SELECT pg_get_serial_sequence('item', 'id') || pg_get_serial_sequence('item', 'seq')",
        "public.item_id_seqpublic.item_seq_seq");
    pawl_test_exec(db, "INSERT INTO item (shop, price, code) VALUES (1, 7.25, 9999)");
    pawl_test_assert_query(db, "SELECT id || ' ' || seq || ' ' || twice FROM item WHERE code = 9999",
                           "2001 2001 19998");
}

static void
plain_table_becomes_partitioned_with_another_key(void **state)
{
    const char *db = products("rewrite_part");
    const char *key[] = {"id", "at"};
    const pawl_rewrite_pair partitions[] = {
        {.name = "product_2020", .value = "FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')"},
        {.name = "product_rest", .value = "DEFAULT"}};
    const pawl_rewrite_spec spec = {.table = "product",
                                    .primary_key = key,
                                    .nprimary_key = 2,
                                    .partition_by = "RANGE (at)",
                                    .partitions = partitions,
                                    .npartitions = 2,
                                    .keeps_old = true};

    (void) state;
    pawl_test_exec(
        db,
        "UPDATE product SET at = '2023-05-05' WHERE id % 3 = 0; CREATE INDEX product_note ON product (name)");
    must_rewrite(db, &spec, NULL);
    pawl_test_assert_query(db, "SELECT relkind FROM pg_class WHERE oid = 'product'::regclass", "p");
    pawl_test_assert_query(
        db, "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'product_pkey'",
        "PRIMARY KEY (id, at)");
    pawl_test_assert_query(
        db, "SELECT (SELECT count(*) FROM product_2020) || ' ' || (SELECT count(*) FROM product_rest)",
        "3334 1666");
    pawl_test_assert_query(
        db,
        "SELECT count(*) FROM product n FULL JOIN pawl_1_old o USING (id) WHERE n IS NULL OR o IS "
        "NULL OR (n.name, "
        "n.price, n.at) IS DISTINCT FROM (o.name, o.price, o.at)",
        "0");
    pawl_test_assert_query(
        db,
        "SELECT string_agg(indexname, ',' ORDER BY indexname) FROM pg_indexes WHERE tablename = 'product'",
        "product_note,product_pkey");
}

static void
what_cannot_be_carried_is_refused_by_name(void **state)
{
    const char *db = products("rewrite_refused");
    const pawl_rewrite_column change[] = {
        {.name = "price", .type = "text", .using = "price", .not_null = -1}};
    const pawl_rewrite_spec spec = {.table = "product", .change = change, .nchange = 1};
    pawl_rewrite_result result;
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    pawl_test_exec(db, "CREATE VIEW cheap AS SELECT id FROM product WHERE price < '2'");
    assert_int_equal(rewrite(db, &spec, NULL, &result, &err), PAWL_E_REFUSED);
    pawl_test_assert_contains(err.message, "cheap");
    pawl_test_assert_query(db, "SELECT count(*) FROM pawl.job", "0");
}

static int
setup(void **state)
{
    return pawl_test_setup(state);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(column_gets_another_type_by_an_expression),
        cmocka_unit_test(transform_in_lua_makes_columns_and_leaves_rows_out),
        cmocka_unit_test(types_without_an_encoding_go_as_text),
        cmocka_unit_test(everything_that_hangs_on_the_table_comes_along),
        cmocka_unit_test(plain_table_becomes_partitioned_with_another_key),
        cmocka_unit_test(what_cannot_be_carried_is_refused_by_name),
    };

    return cmocka_run_group_tests(tests, setup, pawl_test_teardown);
}
