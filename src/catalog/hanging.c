#include "catalog/hanging.h"

#include <string.h>

#include "pawl_sql.h"
#include "pg/literal.h"
#include "pg/sqlbuf.h"

#include "util/banned.h"

/* Where publications learned of column lists, row filters and schemas. */
enum
{
    PUBLICATION_LISTS = 150000,
};

/* The names of the kinds: for SQL and JSON, and for people. */
static const struct
{
    const char *key;
    const char *name;
} kinds[PAWL_HANG_KINDS] = {
    [PAWL_HANG_COLUMN] = {"column", "column"},
    [PAWL_HANG_DEFAULT] = {"default", "default of"},
    [PAWL_HANG_NOT_NULL] = {"not_null", "NOT NULL of"},
    [PAWL_HANG_IDENTITY] = {"identity", "identity sequence"},
    [PAWL_HANG_SEQUENCE] = {"sequence", "sequence"},
    [PAWL_HANG_SEQUENCE_PART] = {"sequence_part", "privileges of sequence"},
    [PAWL_HANG_GENERATED] = {"generated", "generated column"},
    [PAWL_HANG_STATISTICS_TARGET] = {"statistics_target", "statistics target of"},
    [PAWL_HANG_STORAGE] = {"storage", "storage of"},
    [PAWL_HANG_COMPRESSION] = {"compression", "compression of"},
    [PAWL_HANG_OPTIONS] = {"options", "options of"},
    [PAWL_HANG_COLUMN_PRIVILEGE] = {"column_privilege", "privileges of"},
    [PAWL_HANG_COLUMN_COMMENT] = {"column_comment", "comment on"},
    [PAWL_HANG_PARTITION_KEY] = {"partition_key", "partition key of"},
    [PAWL_HANG_PRIMARY_KEY] = {"primary_key", "primary key"},
    [PAWL_HANG_UNIQUE] = {"unique", "unique constraint"},
    [PAWL_HANG_EXCLUSION] = {"exclusion", "exclusion constraint"},
    [PAWL_HANG_CHECK] = {"check", "check constraint"},
    [PAWL_HANG_FOREIGN_KEY] = {"foreign_key", "foreign key"},
    [PAWL_HANG_REFERENCED_BY] = {"referenced_by", "foreign key"},
    [PAWL_HANG_INDEX] = {"index", "index"},
    [PAWL_HANG_INDEX_PART] = {"index_part", "part of index"},
    [PAWL_HANG_STATISTICS] = {"statistics", "statistics object"},
    [PAWL_HANG_VIEW] = {"view", "view"},
    [PAWL_HANG_MATVIEW] = {"materialized_view", "materialized view"},
    [PAWL_HANG_VIEW_PART] = {"view_part", "part of view"},
    [PAWL_HANG_ON_VIEW] = {"on_view", "what depends on a view:"},
    [PAWL_HANG_RULE] = {"rule", "rule"},
    [PAWL_HANG_POLICY] = {"policy", "policy"},
    [PAWL_HANG_TRIGGER] = {"trigger", "trigger"},
    [PAWL_HANG_FUNCTION] = {"function", "function"},
    [PAWL_HANG_FUNCTION_BODY] = {"function_body", "function"},
    [PAWL_HANG_PUBLICATION] = {"publication", "publication"},
    [PAWL_HANG_PUBLICATION_FILTER] = {"publication_filter", "row filter of publication"},
    [PAWL_HANG_PUBLICATION_WIDE] = {"publication_wide", "publication"},
    [PAWL_HANG_SUBSCRIPTION] = {"subscription", "subscription"},
    [PAWL_HANG_INHERITANCE] = {"inheritance", "inheritance of"},
    [PAWL_HANG_PARTITIONED] = {"partitioned", "partitioned table"},
    [PAWL_HANG_TYPED] = {"typed", "typed table"},
    [PAWL_HANG_ROW_TYPE] = {"row_type", "use of the row type:"},
    [PAWL_HANG_EXTENSION] = {"extension", "extension"},
    [PAWL_HANG_OWNER] = {"owner", "owner"},
    [PAWL_HANG_PRIVILEGE] = {"privilege", "privileges of"},
    [PAWL_HANG_COMMENT] = {"comment", "comment on"},
    [PAWL_HANG_SECURITY_LABEL] = {"security_label", "security label of"},
    [PAWL_HANG_STORAGE_OPTIONS] = {"storage_options", "storage parameters of"},
    [PAWL_HANG_TABLESPACE] = {"tablespace", "tablespace"},
    [PAWL_HANG_ACCESS_METHOD] = {"access_method", "access method"},
    [PAWL_HANG_PERSISTENCE] = {"persistence", "persistence of"},
    [PAWL_HANG_ROW_SECURITY] = {"row_security", "row security of"},
    [PAWL_HANG_REPLICA_IDENTITY] = {"replica_identity", "replica identity of"},
    [PAWL_HANG_CLUSTER] = {"cluster", "clustering by index"},
    [PAWL_HANG_OTHER] = {"other", "unknown dependency:"},
};

const char *
pawl_hang_kind_name(pawl_hang_kind kind)
{
    return kinds[kind].name;
}

const char *
pawl_hang_kind_key(pawl_hang_kind kind)
{
    return kinds[kind].key;
}

pawl_hang_kind
pawl_hang_kind_of(const char *key)
{
    for (int i = 0; i < PAWL_HANG_KINDS; i++)
        if (strcmp(kinds[i].key, key) == 0)
            return (pawl_hang_kind) i;
    return PAWL_HANG_KINDS;
}

bool
pawl_hang_has_column(const pawl_hang *item, const char *column)
{
    for (size_t i = 0; i < item->ncolumns; i++)
        if (strcmp(item->columns[i], column) == 0)
            return true;
    return false;
}

bool
pawl_hang_has(const pawl_hang *item, const char *flag)
{
    size_t length = strlen(flag);

    for (const char *at = strstr(item->flags, flag); at != NULL; at = strstr(at + 1, flag))
        if ((at == item->flags || at[-1] == ' ') && (at[length] == '\0' || at[length] == ' '))
            return true;
    return false;
}

bool
pawl_hang_is_defining(const pawl_hang *item)
{
    return item->kind == PAWL_HANG_VIEW_PART && strchr("drt", item->flags[0]) != NULL;
}

/* "rule up of view public.v" */
static const char *
label_part(const pawl_hang *item, pawl_arena *arena)
{
    static const struct
    {
        char part;
        const char *name;
    } parts[] = {{'a', "owner"},      {'d', "default of"}, {'e', "privileges"},
                 {'f', "privileges"}, {'g', "comment"},    {'h', "security label"},
                 {'r', "rule"},       {'t', "trigger"},    {'u', "comment"}};
    const char *name = "part";

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (parts[i].part == item->flags[0])
            name = parts[i].name;
    if (pawl_hang_is_defining(item))
        return pawl_arena_fmt(arena, "%s %s of view %s", name, item->flags + 2, item->relation);
    return pawl_arena_fmt(arena, "%s of view %s", name, item->relation);
}

/* Names as the server would print them would need its list of keywords; people read these. */
const char *
pawl_hang_label(const pawl_hanging *hanging, const pawl_hang *item, pawl_arena *arena)
{
    const char *name = pawl_hang_kind_name(item->kind);
    const char *text = NULL;

    switch ((int) item->kind)
    {
        case PAWL_HANG_INDEX:
        case PAWL_HANG_INDEX_PART:
        case PAWL_HANG_STATISTICS:
        case PAWL_HANG_VIEW:
        case PAWL_HANG_MATVIEW:
        case PAWL_HANG_IDENTITY:
        case PAWL_HANG_SEQUENCE:
            text = pawl_arena_fmt(arena, "%s %s.%s", name, item->schema, item->name);
            break;
        case PAWL_HANG_FUNCTION:
        case PAWL_HANG_FUNCTION_BODY:
            text = pawl_arena_fmt(arena, "%s %s", name, item->definition);
            break;
        case PAWL_HANG_VIEW_PART:
            text = label_part(item, arena);
            break;
        case PAWL_HANG_ON_VIEW:
            text = pawl_arena_fmt(arena, "%s (of view %s)", item->name, item->relation);
            break;
        case PAWL_HANG_REFERENCED_BY:
        case PAWL_HANG_RULE:
        case PAWL_HANG_POLICY:
            text = pawl_arena_fmt(arena, "%s %s of %s", name, item->name, item->relation);
            break;
        case PAWL_HANG_INHERITANCE:
        case PAWL_HANG_TYPED:
            text = pawl_arena_fmt(arena, "%s %s (%s)", name, item->name, item->definition);
            break;
        default:
            text = pawl_arena_fmt(arena, "%s %s", name, item->name);
            break;
    }
    return text != NULL ? text : hanging->table;
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

static bool
has_read_item(pawl_hang *item, const pawl_pg_result *res, int row, pawl_arena *arena)
{
    *item = (pawl_hang){
        .kind = pawl_hang_kind_of(pawl_pg_text(res, row, 0)),
        .oid = (uint32_t) pawl_pg_i64(res, row, 1),
        .schema = pawl_arena_strdup(arena, pawl_pg_text(res, row, 2)),
        .name = pawl_arena_strdup(arena, pawl_pg_text(res, row, 3)),
        .relation = pawl_arena_strdup(arena, pawl_pg_text(res, row, 4)),
        .definition = pawl_arena_strdup(arena, pawl_pg_text(res, row, 5)),
        .tail = pawl_arena_strdup(arena, pawl_pg_text(res, row, 6)),
        .flags = pawl_arena_strdup(arena, pawl_pg_text(res, row, 9)),
        .comment = NULL,
        .tablespace = pawl_arena_strdup(arena, pawl_pg_text(res, row, 11)),
        .reason = "",
        .advice = "",
    };
    if (!pawl_pg_is_null(res, row, 10) &&
        (item->comment = pawl_arena_strdup(arena, pawl_pg_text(res, row, 10))) == NULL)
        return false;
    return item->schema != NULL && item->name != NULL && item->relation != NULL && item->definition != NULL &&
           item->tail != NULL && item->flags != NULL && item->tablespace != NULL &&
           pawl_pg_array_can_split(arena, pawl_pg_text(res, row, 7), &item->columns, &item->ncolumns) &&
           pawl_pg_array_can_split(arena, pawl_pg_text(res, row, 8), &item->others, &item->nothers);
}

/* Add the rows of a result to the items: the array is made anew, which happens three times at most. */
static pawl_status
add_rows(pawl_hanging *h, const pawl_pg_result *res, pawl_arena *arena, pawl_error *err)
{
    size_t rows = (size_t) pawl_pg_rows(res);
    pawl_hang *items = pawl_arena_array(arena, h->nitems + rows, sizeof *items);

    if (items == NULL)
        return pawl_error_nomem(err, "what hangs on a table");
    if (h->nitems > 0)
        memcpy(items, h->items, h->nitems * sizeof *items);
    for (size_t i = 0; i < rows; i++)
    {
        if (!has_read_item(&items[h->nitems + i], res, (int) i, arena))
            return pawl_error_nomem(err, "what hangs on a table");
        if (items[h->nitems + i].kind == PAWL_HANG_KINDS)
            return pawl_error_set(err, PAWL_E_BUG, "the catalogue has a kind \"%s\" that is not known",
                                  pawl_pg_text(res, (int) i, 0));
    }
    h->items = items;
    h->nitems += rows;
    return PAWL_OK;
}

static pawl_status
read_names(pawl_pg *pg, pawl_hanging *h, pawl_arena *arena, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64((int64_t) h->oid)};
    pawl_status st = pawl_pg_query(pg, pawl_sql_catalog_hanging_table, 1, args, &res, err);

    if (st != PAWL_OK)
        return st;
    if (pawl_pg_rows(res) == 0)
        return pawl_error_set(err, PAWL_E_INPUT, "the table with oid %u was dropped a moment ago", h->oid);
    h->schema = pawl_arena_strdup(arena, pawl_pg_text(res, 0, 0));
    h->table = pawl_arena_strdup(arena, pawl_pg_text(res, 0, 1));
    h->server_version = (int) pawl_pg_i64(res, 0, 2);
    return h->schema != NULL && h->table != NULL ? PAWL_OK : pawl_error_nomem(err, "the name of a table");
}

/* The statement that lists, and its parameters. */
typedef struct listing
{
    const char *sql;
    int nargs;
    const pawl_pg_arg *args;
} listing;

static pawl_status
load(pawl_pg *pg, uint32_t table, const listing *how, pawl_arena *arena, pawl_hanging **out, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) things = NULL;
    PAWL_AUTO(pawl_pg_result) publications = NULL;
    const pawl_pg_arg oid[] = {PAWL_ARG_I64((int64_t) table)};
    pawl_hanging *h = pawl_arena_alloc(arena, sizeof *h);
    pawl_status st;

    if (h == NULL)
        return pawl_error_nomem(err, "what hangs on a table");
    h->oid = table;
    if ((st = read_names(pg, h, arena, err)) != PAWL_OK)
        return st;

    const char *published = h->server_version >= PUBLICATION_LISTS ? pawl_sql_catalog_hanging_publications
                                                                   : pawl_sql_catalog_hanging_publications_13;

    if ((st = pawl_pg_query(pg, how->sql, how->nargs, how->args, &things, err)) != PAWL_OK ||
        (st = pawl_pg_query(pg, published, 1, oid, &publications, err)) != PAWL_OK)
        return pawl_error_prefix(err, "listing what hangs on table %s.%s", h->schema, h->table);
    if ((st = add_rows(h, things, arena, err)) != PAWL_OK ||
        (st = add_rows(h, publications, arena, err)) != PAWL_OK)
        return st;

    *out = h;
    return PAWL_OK;
}

pawl_status
pawl_hanging_load(pawl_pg *pg, uint32_t table, const char *ledger_schema, pawl_arena *arena,
                  pawl_hanging **out, pawl_error *err)
{
    const pawl_pg_arg args[] = {PAWL_ARG_I64((int64_t) table), PAWL_ARG_TEXT(ledger_schema)};

    return load(pg, table, &(listing){.sql = pawl_sql_catalog_hanging, .nargs = 2, .args = args}, arena, out,
                err);
}

pawl_status
pawl_hanging_prepare(pawl_pg *pg, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_STRBUF_AUTO(sql);
    pawl_status st = pawl_pg_query(pg, pawl_sql_catalog_hanging_prepared, 0, NULL, &res, err);

    if (st != PAWL_OK)
        return st;
    if (pawl_pg_is_true(res, 0, 0) && (st = pawl_pg_exec(pg, "DEALLOCATE pawl_hanging", err)) != PAWL_OK)
        return st;
    pawl_sql_add(&sql, "PREPARE pawl_hanging (bigint, text) AS\n");
    pawl_sql_add(&sql, pawl_sql_catalog_hanging);
    return pawl_strbuf_is_ok(&sql) ? pawl_pg_exec(pg, sql.data, err) : pawl_error_nomem(err, "a statement");
}

pawl_status
pawl_hanging_load_prepared(pawl_pg *pg, uint32_t table, const char *ledger_schema, pawl_arena *arena,
                           pawl_hanging **out, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);

    pawl_strbuf_addf(&sql, "EXECUTE pawl_hanging (%u, ", table);
    pawl_sql_literal(&sql, ledger_schema);
    pawl_sql_add(&sql, ")");
    if (!pawl_strbuf_is_ok(&sql))
        return pawl_error_nomem(err, "a statement");
    return load(pg, table, &(listing){.sql = sql.data}, arena, out, err);
}

pawl_status
pawl_hanging_unprepare(pawl_pg *pg, pawl_error *err)
{
    return pawl_pg_exec(pg, "DEALLOCATE pawl_hanging", err);
}

pawl_status
pawl_hanging_add_bodies(pawl_pg *pg, pawl_hanging *hanging, const char *column, const char *ledger_schema,
                        pawl_arena *arena, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64((int64_t) hanging->oid), PAWL_ARG_TEXT(column),
                                PAWL_ARG_TEXT(ledger_schema)};
    pawl_status st = pawl_pg_query(pg, pawl_sql_catalog_hanging_bodies, 3, args, &res, err);

    if (st != PAWL_OK)
        return pawl_error_prefix(err, "searching the functions that name table %s.%s", hanging->schema,
                                 hanging->table);
    return add_rows(hanging, res, arena, err);
}
