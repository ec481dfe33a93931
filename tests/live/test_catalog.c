/* What the catalogue says of tables, and which keys are keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "catalog/table.h"
#include "pg/txn.h"
#include "support/server.h"
#include "util/alloc.h"

#include "util/banned.h"

/* A session in a transaction, and an arena for what is loaded. */
typedef struct place
{
    const char *conninfo;
    pawl_pg *pg;
    pawl_arena *arena;
    pawl_error err;
} place;

static void
is_ok(pawl_status st, const pawl_error *err)
{
    if (st != PAWL_OK)
        fail_msg("%s: %s | %s | %s", pawl_status_name(st), err->message, err->detail, err->hint);
}

static place
place_as(const char *conninfo)
{
    place p = {.conninfo = conninfo, .arena = pawl_arena_new()};

    is_ok(pawl_pg_open(&(pawl_pg_options){.conninfo = conninfo}, &p.pg, &p.err), &p.err);
    is_ok(pawl_pg_begin(p.pg, NULL, &p.err), &p.err);
    return p;
}

static place
place_with(const char *database, const char *sql)
{
    const char *conninfo = pawl_test_database_new(database);

    pawl_test_exec(conninfo, sql);
    return place_as(conninfo);
}

static void
place_end(place *p)
{
    pawl_pg_close(p->pg);
    pawl_arena_free(p->arena);
}

static pawl_table *
load(place *p, const char *name)
{
    pawl_table *table = NULL;

    is_ok(pawl_table_load(p->pg, name, "public", p->arena, &table, &p->err), &p->err);
    return table;
}

static void
loading_fails(place *p, const char *name, const char *search_path)
{
    pawl_table *table = NULL;

    p->err = (pawl_error) PAWL_ERROR_INIT;
    assert_int_equal(pawl_table_load(p->pg, name, search_path, p->arena, &table, &p->err), PAWL_E_INPUT);
    assert_null(table);
}

static const pawl_column *
column(const pawl_table *table, const char *name)
{
    const pawl_column *c = pawl_table_column(table, name);

    if (c == NULL)
        fail_msg("no column %s", name);
    return c;
}

static void
contains(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("\"%s\" is not in: %s", part, text);
}

/* ---- names ------------------------------------------------------------------------------------------------------ */

#define SHOPS                                                                                       \
    "CREATE SCHEMA shop; CREATE SCHEMA \"L\303\244den \"\"1\"\"\";"                                 \
    "CREATE TABLE public.products (id int PRIMARY KEY);"                                            \
    "CREATE TABLE shop.products (id int PRIMARY KEY);"                                              \
    "CREATE TABLE shop.customers (id int PRIMARY KEY);"                                             \
    "CREATE TABLE public.\"Orders\" (id int PRIMARY KEY);"                                          \
    "CREATE TABLE \"L\303\244den \"\"1\"\"\".\"St\303\274ck.zahl \"\"x\"\"\" (id int PRIMARY KEY);" \
    "CREATE VIEW shop.cheap AS SELECT * FROM shop.products; CREATE SEQUENCE shop.numbers"

static void
bare_name_is_found_along_the_search_path_which_is_put_back(void **state)
{
    place p = place_with("barenames", SHOPS);
    PAWL_AUTO(pawl_pg_result) res = NULL;
    pawl_table *table = NULL;

    (void) state;
    is_ok(pawl_table_load(p.pg, "products", "public", p.arena, &table, &p.err), &p.err);
    assert_string_equal(table->schema, "public");
    is_ok(pawl_table_load(p.pg, "products", "missing, \"shop\", public", p.arena, &table, &p.err), &p.err);
    assert_string_equal(table->schema, "shop");
    is_ok(pawl_table_load(p.pg, "public.products", "shop", p.arena, &table, &p.err), &p.err);
    assert_string_equal(table->schema, "public");

    is_ok(pawl_pg_query(p.pg, "SHOW search_path", 0, NULL, &res, &p.err), &p.err);
    assert_string_equal(pawl_pg_text(res, 0, 0), "pg_catalog, pg_temp");
    place_end(&p);
}

static void
quoted_name_is_read_as_in_sql(void **state)
{
    place p = place_with("quoted", SHOPS);
    pawl_table *table = load(&p, "\"L\303\244den \"\"1\"\"\".\"St\303\274ck.zahl \"\"x\"\"\"");

    (void) state;
    assert_string_equal(table->schema, "L\303\244den \"1\"");
    assert_string_equal(table->name, "St\303\274ck.zahl \"x\"");
    assert_string_equal(load(&p, "PRODUCTS")->name, "products");
    assert_string_equal(load(&p, "\"Orders\"")->name, "Orders");
    place_end(&p);
}

static void
missing_table_is_named_with_the_nearest_one(void **state)
{
    place p = place_with("nearest", SHOPS);

    (void) state;
    loading_fails(&p, "prodcts", "public");
    contains(p.err.message, "prodcts");
    contains(p.err.hint, "public.products");
    loading_fails(&p, "Orders", "public"); /* folded: the table wants quotes */
    contains(p.err.hint, "public.\"Orders\"");
    loading_fails(&p, "customers", "public"); /* right, in a schema that is not looked in */
    contains(p.err.hint, "shop.customers");
    loading_fails(&p, "shpo.customers", "public");
    contains(p.err.hint, "shop.customers");
    loading_fails(&p, "shop.custmers", "public");
    contains(p.err.hint, "shop.customers");
    loading_fails(&p, "zzzzzzzzzz", "public");
    assert_null(strstr(p.err.hint, "did you mean"));
    assert_true(pawl_pg_is_in_transaction(p.pg));
    assert_string_equal(load(&p, "products")->name, "products"); /* the transaction has not failed */
    place_end(&p);
}

static void
name_that_is_no_name_is_the_users_fault(void **state)
{
    static const char *const names[] = {
        "", "a.b.c.d", "\"open", "a b", "1x; DROP TABLE products", "nodb.public.products"};

    (void) state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    {
        place p = place_with("nonames", SHOPS);

        loading_fails(&p, names[i], "public");
        contains(p.err.message, "cannot be read");
        place_end(&p);
    }
}

static void
what_is_no_table_is_called_by_its_kind(void **state)
{
    place p = place_with("kinds", SHOPS);

    (void) state;
    loading_fails(&p, "shop.numbers", "public");
    contains(p.err.message, "a sequence");
    loading_fails(&p, "shop.products_pkey", "public");
    contains(p.err.message, "an index");
    place_end(&p);
}

/* ---- columns ---------------------------------------------------------------------------------------------------- */

#define ZOO                                                                                                 \
    "CREATE SCHEMA types; CREATE TYPE types.mood AS ENUM ('a', 'b'); CREATE TYPE types.pair AS (a int, b "  \
    "int);"                                                                                                 \
    "CREATE DOMAIN types.price AS numeric(10, 2); CREATE DOMAIN types.cheap AS types.price CHECK (value < " \
    "9);"                                                                                                   \
    "CREATE DOMAIN types.list AS int[];"                                                                    \
    "CREATE TABLE zoo (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, gone int, c char(3), v "         \
    "varchar(5),"                                                                                           \
    " b bit(4), cheap types.cheap, cheaps types.cheap[], list types.list, mood types.mood, moods "          \
    "types.mood[],"                                                                                         \
    " pair types.pair, r int4range, d int DEFAULT 7 NOT NULL, g int GENERATED ALWAYS AS (1) STORED,"        \
    " byd bigint GENERATED BY DEFAULT AS IDENTITY UNIQUE, v2 int2vector, \"o\"\"dd\" text COLLATE \"C\");"  \
    "ALTER TABLE zoo DROP COLUMN gone;"                                                                     \
    "CREATE TABLE child (zoo_id bigint REFERENCES zoo, other int)"

static void
domains_and_arrays_are_looked_through(void **state)
{
    place p = place_with("domains", ZOO);
    const pawl_table *zoo = load(&p, "zoo");
    const pawl_column *cheap = column(zoo, "cheap");

    (void) state;
    assert_int_not_equal(cheap->type, cheap->base_type);
    assert_int_equal(cheap->base_type, PAWL_OID_NUMERIC);
    assert_string_equal(cheap->cast_name, "numeric");
    assert_string_equal(cheap->type_name, "types.cheap");
    assert_int_equal(column(zoo, "cheaps")->element, PAWL_OID_NUMERIC);
    assert_string_equal(column(zoo, "cheaps")->cast_name, "types._cheap");
    assert_int_equal(column(zoo, "list")->element, PAWL_OID_INT4);
    assert_string_equal(column(zoo, "list")->cast_name, "integer[]");
    assert_int_equal(column(zoo, "mood")->type_kind, 'e');
    assert_string_equal(column(zoo, "mood")->cast_name, "types.mood");
    assert_int_equal(column(zoo, "moods")->element, column(zoo, "mood")->type);
    assert_int_equal(column(zoo, "pair")->type_kind, 'c');
    assert_int_equal(column(zoo, "r")->type_kind, 'r');
    assert_int_equal(column(zoo, "id")->element, 0);
    assert_int_equal(column(zoo, "b")->element, 0);
    place_end(&p);
}

static void
casts_carry_no_length(void **state)
{
    place p = place_with("casts", ZOO);
    const pawl_table *zoo = load(&p, "zoo");

    (void) state;
    assert_string_equal(column(zoo, "c")->cast_name, "bpchar");
    assert_string_equal(column(zoo, "c")->type_name, "character(3)");
    assert_string_equal(column(zoo, "v")->cast_name, "character varying");
    assert_string_equal(column(zoo, "b")->cast_name, "\"bit\"");
    place_end(&p);
}

static void
column_attributes_are_read(void **state)
{
    place p = place_with("attributes", ZOO);
    const pawl_table *zoo = load(&p, "zoo");
    const pawl_table *child = load(&p, "child");

    (void) state;
    assert_int_equal(zoo->ncolumns, 16);
    assert_null(pawl_table_column(zoo, "gone"));
    assert_int_equal(column(zoo, "c")->number, 3); /* the dropped column keeps its number */
    assert_int_equal(column(zoo, "id")->identity, 'a');
    assert_int_equal(column(zoo, "byd")->identity, 'd');
    assert_int_equal(column(zoo, "d")->identity, 0);
    assert_true(column(zoo, "id")->is_not_null);
    assert_true(column(zoo, "d")->is_not_null);
    assert_false(column(zoo, "v")->is_not_null);
    assert_true(column(zoo, "d")->has_default);
    assert_false(column(zoo, "g")->has_default);
    assert_true(column(zoo, "g")->is_generated);
    assert_false(column(zoo, "d")->is_generated);
    assert_true(column(zoo, "id")->is_in_foreign_key); /* the referenced side */
    assert_true(column(child, "zoo_id")->is_in_foreign_key);
    assert_false(column(child, "other")->is_in_foreign_key);
    assert_string_equal(column(zoo, "o\"dd")->name, "o\"dd");
    assert_string_equal(pawl_table_nearest(zoo, "cheep"), "cheap");
    assert_null(pawl_table_nearest(zoo, "qqqqqqqq"));
    place_end(&p);
}

/* ---- tables ----------------------------------------------------------------------------------------------------- */

static void
table_facts_are_read(void **state)
{
    place p = place_with(
        "facts", "CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE kid () INHERITS (parent);"
                 "CREATE TABLE ruled (id int); CREATE RULE r AS ON UPDATE TO ruled DO INSTEAD NOTHING;"
                 "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN new; END $$;"
                 "CREATE TABLE fired (id int); CREATE TRIGGER a BEFORE UPDATE ON fired FOR EACH ROW EXECUTE "
                 "FUNCTION f();"
                 "CREATE TABLE quiet (id int); CREATE TRIGGER a BEFORE INSERT ON quiet FOR EACH ROW EXECUTE "
                 "FUNCTION f();"
                 "CREATE TRIGGER b BEFORE UPDATE ON quiet FOR EACH ROW EXECUTE FUNCTION f();"
                 "ALTER TABLE quiet DISABLE TRIGGER b; CREATE UNLOGGED TABLE light (id int);"
                 "CREATE TABLE parted (id int) PARTITION BY RANGE (id);"
                 "CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (1000);"
                 "CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (1000) TO (9000);"
                 "INSERT INTO parted SELECT generate_series(1, 4999); ANALYZE parted; CREATE VIEW seen AS "
                 "SELECT 1 AS id");

    (void) state;
    assert_true(load(&p, "parent")->has_children);
    assert_false(load(&p, "kid")->has_children);
    assert_true(load(&p, "ruled")->has_update_rules);
    assert_false(load(&p, "seen")->has_update_rules);
    assert_int_equal(load(&p, "seen")->kind, 'v');
    assert_true(load(&p, "fired")->has_user_triggers);
    assert_false(load(&p, "quiet")->has_user_triggers);
    assert_int_equal(load(&p, "light")->persistence, 'u');
    assert_int_equal(load(&p, "parted")->kind, 'p');
    assert_false(load(&p, "parted")->has_children);
    assert_int_equal(load(&p, "parted")->rows_estimate, 4999);
    assert_true(load(&p, "parted")->total_bytes > 0);
    assert_true(load(&p, "parted_1")->is_partition);
    assert_int_equal(load(&p, "parted_1")->rows_estimate, 999);
    assert_int_equal(load(&p, "fired")->rows_estimate, 0);
    place_end(&p);
}

static void
estimate_follows_the_growth_since_the_last_analyze(void **state)
{
    place p = place_with("grown", "CREATE TABLE t (id int) WITH (autovacuum_enabled = off);"
                                  "INSERT INTO t SELECT generate_series(1, 22600); ANALYZE t;"
                                  "INSERT INTO t SELECT generate_series(1, 22600)");
    int64_t rows = load(&p, "t")->rows_estimate;

    (void) state;
    assert_in_range(rows, 44000, 46000);
    assert_in_range(load(&p, "t")->pages, 190, 210);
    place_end(&p);
}

static void
row_security_counts_only_where_it_applies_to_us(void **state)
{
    place p =
        place_with("rls", "CREATE TABLE t (id int PRIMARY KEY); ALTER TABLE t ENABLE ROW LEVEL SECURITY;"
                          "CREATE ROLE catalog_reader LOGIN; GRANT SELECT ON t TO catalog_reader");
    char conninfo[600];

    (void) state;
    assert_false(load(&p, "t")->has_row_security);
    pawl_fmt(conninfo, sizeof conninfo, "%s user=catalog_reader", p.conninfo);
    place other = place_as(conninfo);

    assert_true(load(&other, "t")->has_row_security);
    place_end(&other);
    place_end(&p);
}

static const char *
fingerprint(place *p, const char *ddl)
{
    pawl_test_exec(p->conninfo, ddl);
    return load(p, "t")->fingerprint;
}

static void
fingerprint_changes_with_columns_and_key_and_nothing_else(void **state)
{
    place p = place_with("fingerprint", "CREATE TABLE t (id int PRIMARY KEY, a text, b numeric(5, 2))");
    const char *before;
    const char *after = load(&p, "t")->fingerprint;

    static const char *const harmless[] = {
        "SELECT 1",
        "CREATE INDEX ON t (a)",
        "ALTER TABLE t ALTER a SET DEFAULT 'x', ALTER a SET STATISTICS 7",
        "VACUUM FULL t",
        "REINDEX TABLE CONCURRENTLY t",
        "COMMENT ON COLUMN t.a IS 'x'",
    };
    static const char *const harmful[] = {
        "ALTER TABLE t ALTER a SET NOT NULL",
        "ALTER TABLE t ALTER b TYPE numeric(6, 2)",
        "ALTER TABLE t ALTER a TYPE text COLLATE \"C\"",
        "ALTER TABLE t RENAME a TO aa",
        "ALTER TABLE t ADD c int",
        "ALTER TABLE t DROP c",
        "ALTER TABLE t DROP CONSTRAINT t_pkey",
        "ALTER TABLE t ADD PRIMARY KEY (id, aa)",
    };

    (void) state;
    is_ok(pawl_pg_commit(p.pg, &p.err), &p.err); /* catalogue locks would block the statements above */
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
        assert_string_equal(fingerprint(&p, harmless[i]), after);
    for (size_t i = 0; i < sizeof harmful / sizeof *harmful; i++)
    {
        before = after;
        after = fingerprint(&p, harmful[i]);
        if (strcmp(before, after) == 0)
            fail_msg("unchanged by: %s", harmful[i]);
    }
    place_end(&p);
}

/* ---- keys ------------------------------------------------------------------------------------------------------- */

static pawl_key *
key_of(place *p, const char *table)
{
    pawl_key *key = NULL;

    is_ok(pawl_table_key(p->pg, load(p, table), NULL, 0, p->arena, &key, &p->err), &p->err);
    return key;
}

static void
key_refused(place *p, const char *table, const char *column_name)
{
    pawl_key *key = NULL;
    size_t n = column_name != NULL ? 1 : 0;

    p->err = (pawl_error) PAWL_ERROR_INIT;
    assert_int_equal(pawl_table_key(p->pg, load(p, table), &column_name, n, p->arena, &key, &p->err),
                     PAWL_E_REFUSED);
    assert_null(key);
}

static void
primary_key_is_preferred_then_the_narrowest_index(void **state)
{
    place p = place_with(
        "choice",
        "CREATE TABLE a (x int PRIMARY KEY, y smallint NOT NULL UNIQUE);"
        "CREATE TABLE b (t text NOT NULL UNIQUE, i int NOT NULL UNIQUE, j int NOT NULL, UNIQUE (j, i));"
        "CREATE TABLE c (b int, a text, PRIMARY KEY (b, a) INCLUDE (c), c int);"
        "CREATE TABLE d (i int NOT NULL UNIQUE DEFERRABLE INITIALLY DEFERRED)");
    pawl_key *key = key_of(&p, "a");

    (void) state;
    assert_true(key->is_primary);
    assert_string_equal(key->index_name, "a_pkey");
    assert_string_equal(key->columns[0].column->name, "x");
    assert_string_equal(key->columns[0].op_schema, "pg_catalog");
    assert_string_equal(key->columns[0].op_lt, "<");
    assert_string_equal(key->columns[0].op_le, "<=");
    assert_string_equal(key->columns[0].op_eq, "=");
    assert_string_equal(key->columns[0].op_ge, ">=");
    assert_string_equal(key->columns[0].op_gt, ">");
    assert_string_equal(key->collations, "");

    key = key_of(&p, "b");
    assert_false(key->is_primary);
    assert_string_equal(key->columns[0].column->name, "i");
    assert_int_equal(key->ncolumns, 1);

    key = key_of(&p, "c"); /* INCLUDE columns are no part of the key */
    assert_int_equal(key->ncolumns, 2);
    assert_string_equal(key->columns[0].column->name, "b");
    assert_string_equal(key->columns[1].column->name, "a");
    contains(key->collations, "pg_catalog.\"default\"");

    assert_string_equal(key_of(&p, "d")->columns[0].column->name, "i"); /* deferrable is fine */
    place_end(&p);
}

static void
users_key_may_name_its_columns_in_any_order(void **state)
{
    static const char *const columns[] = {"j", "i"};
    static const char *const twice[] = {"j", "j"};
    place p = place_with(
        "wanted", "CREATE TABLE t (id int PRIMARY KEY, i int NOT NULL, j int NOT NULL, UNIQUE (i, j))");
    pawl_key *key = NULL;

    (void) state;
    is_ok(pawl_table_key(p.pg, load(&p, "t"), columns, 2, p.arena, &key, &p.err), &p.err);
    assert_string_equal(key->columns[0].column->name, "i");
    assert_string_equal(key->columns[1].column->name, "j");
    assert_int_equal(pawl_table_key(p.pg, load(&p, "t"), twice, 2, p.arena, &key, &p.err), PAWL_E_INPUT);
    key_refused(&p, "t", "i"); /* a part of a key is none */
    contains(p.err.detail, "no index over exactly these columns");
    contains(p.err.hint, "CREATE UNIQUE INDEX CONCURRENTLY ON \"public\".\"t\" (\"i\")");
    place_end(&p);
}

static void
unknown_key_column_is_named_with_the_nearest(void **state)
{
    static const char *const columns[] = {"produkt"};
    place p = place_with("unknown", "CREATE TABLE t (product int PRIMARY KEY)");
    pawl_key *key = NULL;

    (void) state;
    assert_int_equal(pawl_table_key(p.pg, load(&p, "t"), columns, 1, p.arena, &key, &p.err), PAWL_E_INPUT);
    contains(p.err.message, "produkt");
    contains(p.err.hint, "product");
    place_end(&p);
}

static void
every_index_that_is_no_key_is_refused_with_its_reason(void **state)
{
    static const struct
    {
        const char *index; /* on t (a int NOT NULL, n int, s text NOT NULL, v varchar(9) NOT NULL) */
        const char *column;
        const char *reason;
    } cases[] = {
        {"CREATE INDEX ON t (a)", "a", "it is not unique"},
        {"CREATE UNIQUE INDEX ON t (a) WHERE a > 0", "a", "it is partial"},
        {"CREATE UNIQUE INDEX ON t (lower(s))", NULL, "lower(s) is an expression"},
        {"CREATE UNIQUE INDEX ON t (n)", NULL, "n may be NULL"},
        {"CREATE UNIQUE INDEX ON t (a DESC)", NULL, "a is descending"},
        {"CREATE UNIQUE INDEX ON t (a, s DESC)", NULL, "s is descending"},
        {"CREATE UNIQUE INDEX ON t (a NULLS FIRST)", NULL, "a is ordered NULLS FIRST"},
        {"CREATE UNIQUE INDEX ON t (s text_pattern_ops)", NULL, "s has the operator class text_pattern_ops"},
        {"CREATE UNIQUE INDEX ON t (s COLLATE \"C\")", NULL, "s has another collation in the index"},
        {"CREATE UNIQUE INDEX i ON t (a); UPDATE pg_index SET indisvalid = false WHERE indexrelid = "
         "'i'::regclass",
         NULL, "it is not valid"},
        {"ALTER TABLE t ADD EXCLUDE USING gist (int4range(a, a, '[]') WITH &&)", NULL,
         "it has no unique index"},
    };
    place p = place_with("refusals", "SELECT 1");

    (void) state;
    is_ok(pawl_pg_commit(p.pg, &p.err), &p.err);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    {
        pawl_test_exec(p.conninfo,
                       "DROP TABLE IF EXISTS t;"
                       "CREATE TABLE t (a int NOT NULL, n int, s text NOT NULL, v varchar(9) NOT NULL)");
        pawl_test_exec(p.conninfo, cases[i].index);
        key_refused(&p, "t", cases[i].column);
        contains(p.err.detail, cases[i].reason);
        contains(p.err.hint, "CREATE UNIQUE INDEX CONCURRENTLY ON \"public\".\"t\"");
    }
    place_end(&p);
}

static void
every_refused_index_is_listed_and_the_mend_is_written_out(void **state)
{
    place p =
        place_with("listed", "CREATE TABLE t (a int, b text NOT NULL);"
                             "CREATE UNIQUE INDEX low ON t (lower(b)); CREATE UNIQUE INDEX nul ON t (a, b)");

    (void) state;
    key_refused(&p, "t", NULL);
    contains(p.err.detail, "\"low\" (lower(b)): lower(b) is an expression");
    contains(p.err.detail, "\"nul\" (a, b): a may be NULL");
    contains(p.err.hint, "set NOT NULL on \"a\"");
    contains(p.err.hint, "(\"a\", \"b\")");
    place_end(&p);
}

static void
operator_class_of_the_default_family_is_a_default(void **state)
{
    place p = place_with("varcharops",
                         "CREATE TABLE t (v varchar(9) NOT NULL); CREATE UNIQUE INDEX ON t (v varchar_ops)");

    (void) state;
    assert_string_equal(key_of(&p, "t")->columns[0].op_lt, "<");
    place_end(&p);
}

static void
view_has_no_key(void **state)
{
    place p = place_with("views", "CREATE VIEW seen AS SELECT 1 AS id");

    (void) state;
    key_refused(&p, "seen", NULL);
    contains(p.err.message, "view");
    place_end(&p);
}

static void
operators_of_a_users_type_are_qualified(void **state)
{
    const char *conninfo = pawl_test_database_new("usertypes");

    (void) state;
    if (pawl_test_query_i64(conninfo, "SELECT count(*) FROM pg_available_extensions WHERE name = 'citext'") ==
        0)
    {
        print_message("citext is not installed: skipped\n");
        skip();
    }
    pawl_test_exec(conninfo, "CREATE SCHEMA ext; CREATE EXTENSION citext SCHEMA ext;"
                             "CREATE TABLE t (id ext.citext PRIMARY KEY)");
    place p = place_as(conninfo);
    pawl_key *key = key_of(&p, "t");

    assert_string_equal(key->columns[0].op_schema, "ext");
    assert_string_equal(key->columns[0].op_gt, ">");
    assert_string_equal(key->columns[0].column->cast_name, "ext.citext");
    place_end(&p);
}

static void
collations_of_the_key_are_written_down(void **state)
{
    place p = place_with("collations",
                         "CREATE TABLE t (a text COLLATE \"C\", b text, c int, PRIMARY KEY (a, b, c))");

    (void) state;
    PAWL_AUTO(pawl_str)
    locale = pawl_test_query_text(p.conninfo,
                                  "SELECT datcollate FROM pg_database WHERE datname = current_database()");
    const char *collations = key_of(&p, "t")->collations;

    contains(collations, "pg_catalog.\"C\"");
    contains(collations, "; pg_catalog.\"default\" (");
    contains(collations, locale);
    place_end(&p);
}

static void
every_failed_allocation_of_a_load_is_reported(void **state)
{
    place p = place_with("allocations", ZOO);
    pawl_status st = PAWL_E_NOMEM;
    long nth;

    (void) state;
    for (nth = 0; st != PAWL_OK && nth < 500; nth++)
    {
        PAWL_AUTO(pawl_arena) arena = pawl_arena_new();
        pawl_error err = PAWL_ERROR_INIT;
        pawl_table *table = NULL;
        pawl_key *key = NULL;

        pawl_test_fail_alloc(nth);
        st = pawl_table_load(p.pg, "zoo", "public", arena, &table, &err);
        if (st == PAWL_OK)
            st = pawl_table_key(p.pg, table, NULL, 0, arena, &key, &err);
        pawl_test_fail_alloc(-1);
        assert_true(st == PAWL_OK || st == PAWL_E_NOMEM);
        assert_int_equal(err.code, st);
    }
    assert_in_range(nth, 5, 499);
    place_end(&p);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bare_name_is_found_along_the_search_path_which_is_put_back),
        cmocka_unit_test(quoted_name_is_read_as_in_sql),
        cmocka_unit_test(missing_table_is_named_with_the_nearest_one),
        cmocka_unit_test(name_that_is_no_name_is_the_users_fault),
        cmocka_unit_test(what_is_no_table_is_called_by_its_kind),
        cmocka_unit_test(domains_and_arrays_are_looked_through),
        cmocka_unit_test(casts_carry_no_length),
        cmocka_unit_test(column_attributes_are_read),
        cmocka_unit_test(table_facts_are_read),
        cmocka_unit_test(estimate_follows_the_growth_since_the_last_analyze),
        cmocka_unit_test(row_security_counts_only_where_it_applies_to_us),
        cmocka_unit_test(fingerprint_changes_with_columns_and_key_and_nothing_else),
        cmocka_unit_test(primary_key_is_preferred_then_the_narrowest_index),
        cmocka_unit_test(users_key_may_name_its_columns_in_any_order),
        cmocka_unit_test(unknown_key_column_is_named_with_the_nearest),
        cmocka_unit_test(every_index_that_is_no_key_is_refused_with_its_reason),
        cmocka_unit_test(every_refused_index_is_listed_and_the_mend_is_written_out),
        cmocka_unit_test(operator_class_of_the_default_family_is_a_default),
        cmocka_unit_test(view_has_no_key),
        cmocka_unit_test(operators_of_a_users_type_are_qualified),
        cmocka_unit_test(collations_of_the_key_are_written_down),
        cmocka_unit_test(every_failed_allocation_of_a_load_is_reported),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
