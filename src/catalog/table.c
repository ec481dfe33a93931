#include "catalog/table.h"

#include <string.h>

#include "pawl_sql.h"
#include "util/units.h"

#include "util/banned.h"

/* ---- names that do not exist ------------------------------------------------------------------------------------ */

/* Plain names to compare with, each with the row of `names.sql` that it is of. */
typedef struct word_list
{
    const char **words;
    int *rows;
    size_t length;
} word_list;

static bool
can_list(word_list *list, const pawl_pg_result *res, bool qualified, bool visible_only, pawl_arena *arena)
{
    size_t n = (size_t) pawl_pg_rows(res);

    list->length = 0;
    list->words = pawl_arena_array(arena, n, sizeof *list->words);
    list->rows = pawl_arena_array(arena, n, sizeof *list->rows);
    if (list->words == NULL || list->rows == NULL)
        return false;

    for (int row = 0; row < (int) n; row++)
    {
        const char *word = pawl_pg_text(res, row, 1);

        if (visible_only && !pawl_pg_is_true(res, row, 3))
            continue;
        if (qualified)
            word = pawl_arena_fmt(arena, "%s.%s", pawl_pg_text(res, row, 0), word);
        if (word == NULL)
            return false;
        list->words[list->length] = word;
        list->rows[list->length++] = row;
    }
    return true;
}

/* The row of the table that `word` was perhaps meant to be, -1 when none is near. */
static int
nearest_row(const pawl_pg_result *res, const char *word, bool qualified, bool visible_only, pawl_arena *arena)
{
    word_list list;
    const char *nearest;

    if (word == NULL || !can_list(&list, res, qualified, visible_only, arena))
        return -1;
    nearest = pawl_units_nearest(word, list.words, list.length);
    for (size_t i = 0; nearest != NULL && i < list.length; i++)
        if (list.words[i] == nearest)
            return list.rows[i];
    return -1;
}

static int
suggested_row(const pawl_pg_result *res, pawl_arena *arena)
{
    const char *schema = pawl_pg_text(res, 0, 4);
    const char *table = pawl_pg_text(res, 0, 5);
    int row;

    /* The right name in another schema is a better guess than a similar one in this. */
    for (row = 0; row < pawl_pg_rows(res); row++)
        if (strcmp(pawl_pg_text(res, row, 1), table) == 0)
            return row;
    if (schema[0] != '\0')
        return nearest_row(res, pawl_arena_fmt(arena, "%s.%s", schema, table), true, false, arena);
    row = nearest_row(res, table, false, true, arena);
    return row >= 0 ? row : nearest_row(res, table, false, false, arena);
}

static pawl_status
fail_missing(pawl_pg *pg, const char *name, const char *search_path, const char *schemas, pawl_arena *arena,
             pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(name), PAWL_ARG_TEXT(schemas)};
    pawl_error ignored = PAWL_ERROR_INIT;
    int row = -1;

    pawl_error_set(err, PAWL_E_INPUT, "table %s does not exist", name);
    pawl_error_detail(err, "names without a schema are looked for in %s", search_path);
    if (pawl_pg_query(pg, pawl_sql_catalog_names, 2, args, &res, &ignored) == PAWL_OK &&
        pawl_pg_rows(res) > 0)
        row = suggested_row(res, arena);
    if (row >= 0)
        return pawl_error_hint(err, "did you mean %s?", pawl_pg_text(res, row, 2));
    return pawl_error_hint(err, "check the name, and that this is the right database");
}

/* ---- from name to oid ------------------------------------------------------------------------------------------- */

/* Wrong syntax, too many dots, another database: faults of the name, not of the server. */
static bool
is_bad_name(const pawl_error *err)
{
    static const char *const states[] = {"42602", "42601", "22023", "0A000", "42622"};

    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        if (strcmp(err->sqlstate, states[i]) == 0)
            return true;
    return false;
}

static const char *
kind_name(char relkind)
{
    switch (relkind)
    {
        case 'i':
        case 'I':
            return "an index";
        case 'S':
            return "a sequence";
        case 'c':
            return "a composite type";
        case 't':
            return "a TOAST table";
        default:
            return "not a table";
    }
}

static pawl_status
find(pawl_pg *pg, const char *name, const char *search_path, pawl_arena *arena, int64_t *oid, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(name), PAWL_ARG_TEXT(search_path)};
    pawl_error tried = PAWL_ERROR_INIT;
    pawl_status st = pawl_pg_query(pg, pawl_sql_catalog_find, 2, args, &res, &tried);

    if (st == PAWL_E_SERVER && is_bad_name(&tried))
    {
        pawl_error_set(err, PAWL_E_INPUT, "%s cannot be read as the name of a table", name);
        pawl_error_detail(err, "%s", tried.message);
        return pawl_error_hint(err,
                               "write it as in SQL: products, shop.products or \"Shop\".\"Order lines\"");
    }
    if (st != PAWL_OK)
    {
        *err = tried;
        return pawl_error_prefix(err, "looking for table %s", name);
    }
    if (pawl_pg_is_null(res, 0, 1))
        return fail_missing(pg, name, search_path, pawl_pg_text(res, 0, 2), arena, err);
    if (strchr("rpvmf", pawl_pg_text(res, 0, 1)[0]) == NULL)
    {
        pawl_error_set(err, PAWL_E_INPUT, "%s is %s, not a table", name,
                       kind_name(pawl_pg_text(res, 0, 1)[0]));
        return PAWL_E_INPUT;
    }

    *oid = pawl_pg_i64(res, 0, 0);
    return PAWL_OK;
}

/* ---- what it is ------------------------------------------------------------------------------------------------- */

static bool
has_read_table(pawl_table *t, const pawl_pg_result *res, pawl_arena *arena)
{
    t->schema = pawl_arena_strdup(arena, pawl_pg_text(res, 0, 0));
    t->name = pawl_arena_strdup(arena, pawl_pg_text(res, 0, 1));
    t->kind = pawl_pg_text(res, 0, 2)[0];
    t->persistence = pawl_pg_text(res, 0, 3)[0];
    t->is_partition = pawl_pg_is_true(res, 0, 4);
    t->has_children = pawl_pg_is_true(res, 0, 5);
    t->has_row_security = pawl_pg_is_true(res, 0, 6);
    t->has_update_rules = pawl_pg_is_true(res, 0, 7);
    t->has_user_triggers = pawl_pg_is_true(res, 0, 8);
    t->rows_estimate = pawl_pg_i64(res, 0, 9);
    t->pages = pawl_pg_i64(res, 0, 10);
    t->total_bytes = pawl_pg_i64(res, 0, 11);
    return t->schema != NULL && t->name != NULL;
}

static bool
has_read_column(pawl_column *c, const pawl_pg_result *res, int row, pawl_arena *arena)
{
    *c = (pawl_column){
        .number = (int16_t) pawl_pg_i64(res, row, 0),
        .name = pawl_arena_strdup(arena, pawl_pg_text(res, row, 1)),
        .type = (uint32_t) pawl_pg_i64(res, row, 2),
        .base_type = (uint32_t) pawl_pg_i64(res, row, 3),
        .element = (uint32_t) pawl_pg_i64(res, row, 4),
        .type_name = pawl_arena_strdup(arena, pawl_pg_text(res, row, 5)),
        .cast_name = pawl_arena_strdup(arena, pawl_pg_text(res, row, 6)),
        .type_kind = pawl_pg_text(res, row, 7)[0],
        .is_not_null = pawl_pg_is_true(res, row, 8),
        .has_default = pawl_pg_is_true(res, row, 9),
        .is_generated = pawl_pg_is_true(res, row, 10),
        .identity = pawl_pg_text(res, row, 11)[0],
        .is_in_foreign_key = pawl_pg_is_true(res, row, 12),
    };
    return c->name != NULL && c->type_name != NULL && c->cast_name != NULL;
}

static bool
has_read_columns(pawl_table *t, const pawl_pg_result *res, const char *primary_key, pawl_arena *arena)
{
    PAWL_STRBUF_AUTO(fingerprint);

    t->ncolumns = pawl_pg_rows(res);
    t->columns = pawl_arena_array(arena, (size_t) t->ncolumns, sizeof *t->columns);
    if (t->columns == NULL)
        return false;
    for (int row = 0; row < t->ncolumns; row++)
    {
        if (!has_read_column(&t->columns[row], res, row, arena))
            return false;
        pawl_strbuf_addf(&fingerprint, "%s\n", pawl_pg_text(res, row, 13));
    }
    pawl_strbuf_addf(&fingerprint, "primary key %s", primary_key[0] != '\0' ? primary_key : "-");
    if (!pawl_strbuf_is_ok(&fingerprint))
        return false;
    t->fingerprint = pawl_arena_strdup(arena, fingerprint.data);
    return t->fingerprint != NULL;
}

pawl_status
pawl_table_load_oid(pawl_pg *pg, uint32_t oid, pawl_arena *arena, pawl_table **out, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) facts = NULL;
    PAWL_AUTO(pawl_pg_result) columns = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(oid)};
    pawl_table *t = NULL;
    pawl_status st;

    if ((st = pawl_pg_query(pg, pawl_sql_catalog_table, 1, args, &facts, err)) != PAWL_OK ||
        (st = pawl_pg_query(pg, pawl_sql_catalog_columns, 1, args, &columns, err)) != PAWL_OK)
        return pawl_error_prefix(err, "reading the catalogue of a table");
    if (pawl_pg_rows(facts) == 0)
        return pawl_error_set(err, PAWL_E_INPUT, "the table with the oid %u was dropped a moment ago",
                              (unsigned) oid);

    t = pawl_arena_alloc(arena, sizeof *t);
    if (t == NULL || !has_read_table(t, facts, arena) ||
        !has_read_columns(t, columns, pawl_pg_text(facts, 0, 12), arena))
        return pawl_error_nomem(err, "the description of a table");
    t->oid = oid;

    *out = t;
    return PAWL_OK;
}

pawl_status
pawl_table_load(pawl_pg *pg, const char *name, const char *search_path, pawl_arena *arena, pawl_table **out,
                pawl_error *err)
{
    int64_t oid = 0;
    pawl_status st = find(pg, name, search_path, arena, &oid, err);

    return st != PAWL_OK ? st : pawl_table_load_oid(pg, (uint32_t) oid, arena, out, err);
}

/* ---- tables in several pieces ------------------------------------------------------------------------------------ */

bool
pawl_table_is_divided(const pawl_table *table)
{
    return table->kind == 'p' || table->has_children;
}

pawl_status
pawl_table_members(pawl_pg *pg, uint32_t oid, pawl_arena *arena, pawl_member **out, size_t *count,
                   pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(oid)};
    pawl_status st = pawl_pg_query(pg, pawl_sql_catalog_members, 1, args, &res, err);

    if (st != PAWL_OK)
        return pawl_error_prefix(err, "reading which tables hold the rows");

    size_t n = (size_t) pawl_pg_rows(res);
    pawl_member *list = pawl_arena_array(arena, n, sizeof *list);

    if (list == NULL)
        return pawl_error_nomem(err, "the partitions of a table");
    for (int row = 0; row < (int) n; row++)
    {
        list[row] = (pawl_member){.oid = (uint32_t) pawl_pg_i64(res, row, 0),
                                  .schema = pawl_arena_strdup(arena, pawl_pg_text(res, row, 1)),
                                  .name = pawl_arena_strdup(arena, pawl_pg_text(res, row, 2)),
                                  .kind = pawl_pg_text(res, row, 3)[0]};
        if (list[row].schema == NULL || list[row].name == NULL)
            return pawl_error_nomem(err, "the partitions of a table");
    }
    *out = list;
    *count = n;
    return PAWL_OK;
}

pawl_status
pawl_table_routed(pawl_pg *pg, const pawl_table *table, const char *const *names, size_t count,
                  pawl_arena *arena, const char **out, const char **of, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    pawl_pg_array array;
    pawl_status st;

    *out = NULL;
    if (table->kind != 'p' && !table->is_partition)
        return PAWL_OK;
    pawl_pg_array_init(&array, PAWL_OID_TEXT);
    for (size_t i = 0; i < count; i++)
        pawl_pg_array_add_bytes(&array, names[i], strlen(names[i]));

    const pawl_pg_arg args[] = {PAWL_ARG_I64(table->oid), pawl_pg_array_arg(&array, PAWL_OID_TEXT_ARRAY)};

    st = pawl_pg_query(pg, pawl_sql_catalog_routed, 2, args, &res, err);
    pawl_pg_array_fini(&array);
    if (st != PAWL_OK)
        return pawl_error_prefix(err, "reading the partition key of a table");
    if (pawl_pg_rows(res) == 0)
        return PAWL_OK;
    *out = pawl_arena_strdup(arena, pawl_pg_text(res, 0, 0));
    *of = pawl_arena_strdup(arena, pawl_pg_text(res, 0, 1));
    return *out == NULL || *of == NULL ? pawl_error_nomem(err, "the partition key of a table") : PAWL_OK;
}

const pawl_column *
pawl_table_column(const pawl_table *table, const char *name)
{
    for (int i = 0; i < table->ncolumns; i++)
        if (strcmp(table->columns[i].name, name) == 0)
            return &table->columns[i];
    return NULL;
}

const char *
pawl_table_nearest(const pawl_table *table, const char *name)
{
    const char *best = NULL;
    const char *pair[2];

    /* Two at a time, so that no list has to be built: the nearest of the nearest so far and the next. */
    for (int i = 0; i < table->ncolumns; i++)
    {
        pair[0] = best != NULL ? best : table->columns[i].name;
        pair[1] = table->columns[i].name;
        best = pawl_units_nearest(name, pair, 2);
    }
    return best;
}
