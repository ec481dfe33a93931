/* What is in the scratch databases: rows that a baseline would lose, and whether both have the same schema. */
#include <inttypes.h>
#include <string.h>

#include "catalog/compare.h"
#include "core/log.h"
#include "migrate/squash.h"
#include "pawl_sql.h"
#include "pg/txn.h"

#include "util/banned.h"

/* ---- rows ----------------------------------------------------------------------------------------------------------- */

static pawl_status
count_rows(pawl_pg *pg, const char *statement, int64_t *out, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    pawl_status st = pawl_pg_query(pg, statement, 0, NULL, &res, err);

    if (st == PAWL_OK)
        *out = pawl_pg_i64(res, 0, 0);
    return st;
}

static pawl_status
note_item(pawl_squash_run *s, pawl_pg *pg, const pawl_pg_result *res, int row, pawl_error *err)
{
    const char *kind = pawl_pg_text(res, row, 0);
    const char *name = pawl_arena_strdup(s->arena, pawl_pg_text(res, row, 1));
    int64_t number = pawl_pg_i64(res, row, 3);
    pawl_status st = PAWL_OK;

    if (strcmp(kind, "rows") == 0)
    {
        st = count_rows(pg, pawl_pg_text(res, row, 2), &number, err);
        if (st != PAWL_OK || number == 0)
            return st;
        return pawl_squash_lose(s, "rows", name,
                                pawl_arena_fmt(s->arena, "%" PRId64 " row%s", number, number == 1 ? "" : "s"),
                                err);
    }
    if (strcmp(kind, "sequence") == 0)
        return pawl_squash_lose(s, "sequence", name, pawl_arena_fmt(s->arena, "stands at %" PRId64, number),
                                err);
    return pawl_squash_lose(s, "large_objects", name, pawl_arena_fmt(s->arena, "%" PRId64, number), err);
}

pawl_status
pawl_squash_note_rows(pawl_squash_run *s, bool *is_open, pawl_error *err)
{
    PAWL_AUTO(pawl_pg) pg = NULL;
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(s->project->settings.schema)};
    size_t before = s->losses.length;
    pawl_status st;

    if ((st = pawl_squash_scratch_connect(&s->scratch, 0, &pg, err)) != PAWL_OK ||
        (st = pawl_pg_begin(pg, NULL, err)) != PAWL_OK ||
        (st = pawl_pg_query(pg, pawl_sql_migrate_squash_rows, 1, args, &res, err)) != PAWL_OK)
        return st;
    for (int i = 0; i < pawl_pg_rows(res) && st == PAWL_OK; i++)
        st = note_item(s, pg, res, i, err);
    if (st != PAWL_OK || s->losses.length == before)
        return st;
    *is_open = !s->what->schema_only_ok;
    return pawl_squash_note_data_steps(s, err);
}

/* ---- the schemas ---------------------------------------------------------------------------------------------------- */

static pawl_status
read_catalogue(const pawl_squash_run *s, int which, pawl_pg_result **out, pawl_error *err)
{
    PAWL_AUTO(pawl_pg) pg = NULL;
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(s->project->settings.schema)};
    pawl_status st;

    if ((st = pawl_squash_scratch_connect(&s->scratch, which, &pg, err)) != PAWL_OK ||
        (st = pawl_pg_begin(pg, NULL, err)) != PAWL_OK ||
        (st = pawl_pg_query(pg, pawl_sql_migrate_catalogue, 1, args, &res, err)) != PAWL_OK)
        return st;
    *out = res;
    res = NULL;
    return PAWL_OK;
}

static pawl_status
note_difference(void *ctx, char sign, const pawl_pg_result *res, int row, pawl_error *err)
{
    pawl_squash_run *s = ctx;
    const char *definition = pawl_pg_text(res, row, 1);
    const char *text = pawl_arena_fmt(s->arena, "%c %s%s%s", sign, pawl_pg_text(res, row, 0),
                                      definition[0] == '\0' ? "" : ": ", definition);

    return text != NULL && pawl_vec_push(&s->differences, text) ? PAWL_OK
                                                                : pawl_error_nomem(err, "a difference");
}

pawl_status
pawl_squash_compare(pawl_squash_run *s, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) range = NULL;
    PAWL_AUTO(pawl_pg_result) baseline = NULL;
    pawl_status st = read_catalogue(s, 0, &range, err);

    if (st == PAWL_OK)
        st = read_catalogue(s, 1, &baseline, err);
    if (st != PAWL_OK)
        return pawl_error_prefix(err, "comparing the scratch databases");
    st = pawl_compare_results(range, baseline, note_difference, s, err);
    s->report->facts = pawl_pg_rows(range);
    return st;
}
