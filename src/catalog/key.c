#include <string.h>

#include "catalog/table.h"
#include "pawl_sql.h"
#include "pg/sqlbuf.h"

#include "util/banned.h"

/* The columns of indexes.sql. */
enum
{
    I_OID,
    I_SCHEMA,
    I_NAME,
    I_IS_PRIMARY,
    I_IS_UNIQUE,
    I_IS_VALID,
    I_METHOD,
    I_IS_PARTIAL,
    I_NCOLUMNS,
    I_NUMBER,
    I_TEXT,
    I_IS_DESCENDING,
    I_NULLS_FIRST,
    I_HAS_OWN_COLLATION,
    I_OPCLASS,
    I_OP_SCHEMA,
    I_OP_LT,
    I_OP_LE,
    I_OP_EQ,
    I_OP_GE,
    I_OP_GT,
    I_COLLATION,
    I_COLLATION_VERSION,
};

/* What the key is chosen for, and from. */
typedef struct choice
{
    const pawl_table *table;
    const char *const *columns; /* wanted by the user; NULL: the best */
    size_t ncolumns;
    const pawl_pg_result *indexes;
} choice;

static const pawl_column *
column_at(const choice *c, int row)
{
    int64_t number = pawl_pg_i64(c->indexes, row, I_NUMBER);

    for (int i = 0; i < c->table->ncolumns; i++)
        if (c->table->columns[i].number == number)
            return &c->table->columns[i];
    return NULL; /* an expression */
}

static int
width_at(const choice *c, int row)
{
    return (int) pawl_pg_i64(c->indexes, row, I_NCOLUMNS);
}

/* Is the index that begins at `row` over exactly the wanted columns, in whatever order? */
static bool
is_over_wanted(const choice *c, int row)
{
    if ((size_t) width_at(c, row) != c->ncolumns)
        return false;
    for (int i = 0; i < width_at(c, row); i++)
    {
        const pawl_column *column = column_at(c, row + i);
        bool is_wanted = false;

        for (size_t j = 0; column != NULL && j < c->ncolumns; j++)
            is_wanted = is_wanted || strcmp(column->name, c->columns[j]) == 0;
        if (!is_wanted)
            return false;
    }
    return true;
}

/* ---- why an index does not do ----------------------------------------------------------------------------------- */

static void
add_reason(pawl_strbuf *b, const char *reason)
{
    if (b->length > 0)
        pawl_strbuf_add(b, ", ");
    pawl_strbuf_add(b, reason);
}

static void
add_column_reasons(const choice *c, int row, pawl_strbuf *b)
{
    const pawl_column *column = column_at(c, row);
    const char *text = pawl_pg_text(c->indexes, row, I_TEXT);
    char reason[300] = "";

    if (column == NULL)
    {
        pawl_fmt(reason, sizeof reason, "%s is an expression", text);
        add_reason(b, reason);
        return;
    }
    if (!column->is_not_null)
    {
        pawl_fmt(reason, sizeof reason, "%s may be NULL", text);
        add_reason(b, reason);
    }
    if (pawl_pg_is_true(c->indexes, row, I_IS_DESCENDING))
    {
        pawl_fmt(reason, sizeof reason, "%s is descending", text);
        add_reason(b, reason);
    }
    else if (pawl_pg_is_true(c->indexes, row, I_NULLS_FIRST))
    {
        pawl_fmt(reason, sizeof reason, "%s is ordered NULLS FIRST", text);
        add_reason(b, reason);
    }
    if (pawl_pg_text(c->indexes, row, I_OPCLASS)[0] != '\0')
    {
        pawl_fmt(reason, sizeof reason, "%s has the operator class %s, not its type's default", text,
                 pawl_pg_text(c->indexes, row, I_OPCLASS));
        add_reason(b, reason);
    }
    else if (pawl_pg_text(c->indexes, row, I_OP_SCHEMA)[0] == '\0')
    {
        pawl_fmt(reason, sizeof reason, "the operators of %s lie in several schemas", text);
        add_reason(b, reason);
    }
    if (!pawl_pg_is_true(c->indexes, row, I_HAS_OWN_COLLATION))
    {
        pawl_fmt(reason, sizeof reason, "%s has another collation in the index than in the table", text);
        add_reason(b, reason);
    }
}

/* What speaks against the index that begins at `row`; nothing when it can be the key. */
static void
add_reasons(const choice *c, int row, pawl_strbuf *b)
{
    if (!pawl_pg_is_true(c->indexes, row, I_IS_UNIQUE))
        add_reason(b, "it is not unique");
    if (!pawl_pg_is_true(c->indexes, row, I_IS_VALID))
        add_reason(b, "it is not valid (a concurrent build was interrupted, or is still running)");
    if (pawl_pg_is_true(c->indexes, row, I_IS_PARTIAL))
        add_reason(b, "it is partial");
    if (strcmp(pawl_pg_text(c->indexes, row, I_METHOD), "btree") != 0)
        add_reason(b, "it is not a btree");
    for (int i = 0; b->length == 0 && i < width_at(c, row); i++)
        add_column_reasons(c, row + i, b);
}

static void
add_index(const choice *c, int row, const char *reasons, pawl_strbuf *b)
{
    if (b->length > 0)
        pawl_strbuf_add(b, "; ");
    pawl_strbuf_addf(b, "\"%s\" (", pawl_pg_text(c->indexes, row, I_NAME));
    for (int i = 0; i < width_at(c, row); i++)
        pawl_strbuf_addf(b, "%s%s", i > 0 ? ", " : "", pawl_pg_text(c->indexes, row + i, I_TEXT));
    pawl_strbuf_addf(b, "): %s", reasons);
}

/* ---- the refusal ------------------------------------------------------------------------------------------------ */

/* The plain columns of the first unique index whose only faults are such that a new index could mend them. */
static bool
has_mendable(const choice *c, int row)
{
    if (!pawl_pg_is_true(c->indexes, row, I_IS_UNIQUE) || pawl_pg_is_true(c->indexes, row, I_IS_PARTIAL))
        return false;
    for (int i = 0; i < width_at(c, row); i++)
        if (column_at(c, row + i) == NULL)
            return false;
    return true;
}

/* The columns that the advised index would have: the wanted ones, or those of an index that nearly does. */
static void
add_advised(const choice *c, int mendable, pawl_strbuf *list, pawl_strbuf *nullable)
{
    size_t n = c->columns != NULL ? c->ncolumns : mendable >= 0 ? (size_t) width_at(c, mendable) : 0;

    for (size_t i = 0; i < n; i++)
    {
        const pawl_column *column = c->columns != NULL ? pawl_table_column(c->table, c->columns[i])
                                                       : column_at(c, mendable + (int) i);

        if (i > 0)
            pawl_strbuf_add(list, ", ");
        pawl_sql_ident(list, column->name);
        if (column->is_not_null)
            continue;
        if (nullable->length > 0)
            pawl_strbuf_add(nullable, ", ");
        pawl_sql_ident(nullable, column->name);
    }
    if (n == 0)
        pawl_strbuf_add(list, "...");
}

static pawl_status
refuse(const choice *c, const char *reasons, int mendable, pawl_error *err)
{
    PAWL_STRBUF_AUTO(list);
    PAWL_STRBUF_AUTO(nullable);
    PAWL_STRBUF_AUTO(table);
    PAWL_STRBUF_AUTO(first);

    add_advised(c, mendable, &list, &nullable);
    pawl_sql_ident2(&table, c->table->schema, c->table->name);
    if (nullable.length > 0)
        pawl_strbuf_addf(&first, "set NOT NULL on %s, then ", nullable.data);
    if (c->columns == NULL && mendable < 0)
        pawl_strbuf_add(&first, "add a primary key, or over NOT NULL columns: ");

    if (c->columns != NULL)
        pawl_error_set(err, PAWL_E_REFUSED, "table \"%s.%s\" cannot be paged by the key (%s)",
                       c->table->schema, c->table->name, list.data);
    else
        pawl_error_set(err, PAWL_E_REFUSED, "table \"%s.%s\" has no key to page by", c->table->schema,
                       c->table->name);
    if (reasons[0] != '\0')
        pawl_error_detail(err, "%s", reasons);
    else
        pawl_error_detail(err, c->columns != NULL ? "there is no index over exactly these columns"
                                                  : "it has no unique index");
    return pawl_error_hint(err, "%sCREATE UNIQUE INDEX CONCURRENTLY ON %s (%s)", first.data, table.data,
                           list.data);
}

/* ---- the key ---------------------------------------------------------------------------------------------------- */

static bool
has_default_collation(const choice *c, int row)
{
    for (int i = 0; i < width_at(c, row); i++)
        if (strcmp(pawl_pg_text(c->indexes, row + i, I_COLLATION), "pg_catalog.\"default\"") == 0)
            return true;
    return false;
}

/* "collation version" of each column that has one; that of the default with the locale it stands for. */
static pawl_status
describe_collations(pawl_pg *pg, const choice *c, int row, pawl_strbuf *b, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const char *sql = pawl_pg_server_version(pg) >= 150000 ? pawl_sql_catalog_default_collation
                                                           : pawl_sql_catalog_default_collation_14;
    pawl_status st = PAWL_OK;

    if (has_default_collation(c, row))
        st = pawl_pg_query(pg, sql, 0, NULL, &res, err);
    if (st != PAWL_OK)
        return st;

    for (int i = 0; i < width_at(c, row); i++)
    {
        const char *name = pawl_pg_text(c->indexes, row + i, I_COLLATION);

        if (name[0] == '\0')
            continue;
        if (b->length > 0)
            pawl_strbuf_add(b, "; ");
        if (strcmp(name, "pg_catalog.\"default\"") == 0)
            pawl_strbuf_addf(b, "%s (%s) %s", name, pawl_pg_text(res, 0, 0), pawl_pg_text(res, 0, 1));
        else
            pawl_strbuf_addf(b, "%s %s", name, pawl_pg_text(c->indexes, row + i, I_COLLATION_VERSION));
    }
    return PAWL_OK;
}

static bool
has_read_key_column(const choice *c, int row, pawl_arena *arena, pawl_key_column *out)
{
    const pawl_pg_result *res = c->indexes;

    *out = (pawl_key_column){
        .column = column_at(c, row),
        .op_schema = pawl_arena_strdup(arena, pawl_pg_text(res, row, I_OP_SCHEMA)),
        .op_lt = pawl_arena_strdup(arena, pawl_pg_text(res, row, I_OP_LT)),
        .op_le = pawl_arena_strdup(arena, pawl_pg_text(res, row, I_OP_LE)),
        .op_eq = pawl_arena_strdup(arena, pawl_pg_text(res, row, I_OP_EQ)),
        .op_ge = pawl_arena_strdup(arena, pawl_pg_text(res, row, I_OP_GE)),
        .op_gt = pawl_arena_strdup(arena, pawl_pg_text(res, row, I_OP_GT)),
    };
    return out->op_schema != NULL && out->op_lt != NULL && out->op_le != NULL && out->op_eq != NULL &&
           out->op_ge != NULL && out->op_gt != NULL;
}

static pawl_status
make_key(pawl_pg *pg, const choice *c, int row, pawl_arena *arena, pawl_key **out, pawl_error *err)
{
    PAWL_STRBUF_AUTO(collations);
    int n = width_at(c, row);
    pawl_key *key = pawl_arena_alloc(arena, sizeof *key);
    pawl_status st = describe_collations(pg, c, row, &collations, err);

    if (st != PAWL_OK)
        return st;
    if (key == NULL || !pawl_strbuf_is_ok(&collations))
        return pawl_error_nomem(err, "the key of a table");

    *key = (pawl_key){
        .index_schema = pawl_arena_strdup(arena, pawl_pg_text(c->indexes, row, I_SCHEMA)),
        .index_name = pawl_arena_strdup(arena, pawl_pg_text(c->indexes, row, I_NAME)),
        .index_oid = (uint32_t) pawl_pg_i64(c->indexes, row, I_OID),
        .is_primary = pawl_pg_is_true(c->indexes, row, I_IS_PRIMARY),
        .columns = pawl_arena_array(arena, (size_t) n, sizeof *key->columns),
        .ncolumns = n,
        .collations = pawl_arena_strdup(arena, collations.data),
    };
    if (key->index_schema == NULL || key->index_name == NULL || key->columns == NULL ||
        key->collations == NULL)
        return pawl_error_nomem(err, "the key of a table");
    for (int i = 0; i < n; i++)
        if (!has_read_key_column(c, row + i, arena, &key->columns[i]))
            return pawl_error_nomem(err, "the key of a table");

    *out = key;
    return PAWL_OK;
}

static pawl_status
check_wanted(const choice *c, pawl_error *err)
{
    for (size_t i = 0; i < c->ncolumns; i++)
    {
        const char *nearest;

        if (pawl_table_column(c->table, c->columns[i]) == NULL)
        {
            nearest = pawl_table_nearest(c->table, c->columns[i]);
            pawl_error_set(err, PAWL_E_INPUT, "table \"%s.%s\" has no column \"%s\" for its key",
                           c->table->schema, c->table->name, c->columns[i]);
            return nearest != NULL ? pawl_error_hint(err, "did you mean \"%s\"?", nearest) : PAWL_E_INPUT;
        }
        for (size_t j = 0; j < i; j++)
            if (strcmp(c->columns[i], c->columns[j]) == 0)
                return pawl_error_set(err, PAWL_E_INPUT, "the key names column \"%s\" twice", c->columns[i]);
    }
    return PAWL_OK;
}

/* Indexes come primary key first, then narrowest first: the first that qualifies is the best. */
static pawl_status
choose(pawl_pg *pg, const choice *c, pawl_arena *arena, pawl_key **out, pawl_error *err)
{
    PAWL_STRBUF_AUTO(all);
    int mendable = -1;

    for (int row = 0; row < pawl_pg_rows(c->indexes); row += width_at(c, row))
    {
        PAWL_STRBUF_AUTO(reasons);

        /* Of indexes that are not unique only one over the very columns was perhaps taken for a key. */
        if (c->columns != NULL ? !is_over_wanted(c, row) : !pawl_pg_is_true(c->indexes, row, I_IS_UNIQUE))
            continue;
        add_reasons(c, row, &reasons);
        if (!pawl_strbuf_is_ok(&reasons))
            return pawl_error_nomem(err, "the reasons against an index");
        if (reasons.length == 0)
            return make_key(pg, c, row, arena, out, err);
        add_index(c, row, reasons.data, &all);
        if (mendable < 0 && has_mendable(c, row))
            mendable = row;
    }
    return refuse(c, all.data, mendable, err);
}

pawl_status
pawl_table_key(pawl_pg *pg, const pawl_table *table, const char *const *columns, size_t ncolumns,
               pawl_arena *arena, pawl_key **out, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(table->oid)};
    choice c = {.table = table, .columns = ncolumns > 0 ? columns : NULL, .ncolumns = ncolumns};
    pawl_status st;

    if (strchr("rpm", table->kind) == NULL)
    {
        pawl_error_set(err, PAWL_E_REFUSED, "\"%s.%s\" is a %s: it has no key to page by", table->schema,
                       table->name, table->kind == 'v' ? "view" : "foreign table");
        return pawl_error_hint(err, "name the table that holds the rows");
    }

    st = check_wanted(&c, err);
    if (st == PAWL_OK)
        st = pawl_pg_query(pg, pawl_sql_catalog_indexes, 1, args, &res, err);
    if (st != PAWL_OK)
        return st;

    c.indexes = res;
    return choose(pg, &c, arena, out, err);
}
