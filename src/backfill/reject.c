#include "backfill/reject.h"

#include <string.h>

#include "backfill/preview.h"
#include "config/utf8.h"
#include "pawl_sql.h"
#include "util/alloc.h"

#include "util/banned.h"

enum
{
    INSERT_ARGS = 10
};

const char *
pawl_on_error_name(pawl_on_error on_error)
{
    static const char *const names[] = {"stop", "skip", "quarantine"};

    return names[on_error];
}

bool
pawl_job_has_rejects(const pawl_job *job)
{
    return job->spec->on_error != PAWL_ON_ERROR_STOP;
}

/* What a transform was given; of SQL expressions nobody knows what they read: the whole row. */
static pawl_status
choose_columns(pawl_rejects *r, pawl_error *err)
{
    const pawl_job *job = r->job;
    bool is_whole = job->spec->lua_file == NULL;
    int most = is_whole ? job->table->ncolumns : job->nread;

    r->columns = pawl_calloc((size_t) (most > 0 ? most : 1), sizeof *r->columns);
    if (r->columns == NULL)
        return pawl_error_nomem(err, "the columns of rejected rows");
    for (int i = 0; i < most; i++)
    {
        const pawl_column *column = is_whole ? &job->table->columns[i] : job->read[i];
        bool is_key = false;

        for (int k = 0; k < job->key->ncolumns; k++)
            is_key = is_key || job->key->columns[k].column == column;
        if (!is_key)
            r->columns[r->ncolumns++] = column;
    }
    return PAWL_OK;
}

pawl_status
pawl_rejects_init(pawl_rejects *r, const pawl_job *job, pawl_error *err)
{
    pawl_pg_array *const arrays[] = {&r->names, &r->keys, &r->values, &r->sqlstates, &r->messages};

    *r = (pawl_rejects){.job = job};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        pawl_pg_array_init(arrays[i], PAWL_OID_TEXT);

    pawl_status st = choose_columns(r, err);

    for (int i = 0; st == PAWL_OK && i < job->key->ncolumns + r->ncolumns; i++)
    {
        const char *name = i < job->key->ncolumns ? job->key->columns[i].column->name
                                                  : r->columns[i - job->key->ncolumns]->name;

        pawl_pg_array_add_bytes(&r->names, name, strlen(name));
    }
    return st;
}

void
pawl_rejects_fini(pawl_rejects *r)
{
    if (r->job == NULL)
        return;
    pawl_pg_array_fini(&r->names);
    pawl_pg_array_fini(&r->keys);
    pawl_pg_array_fini(&r->values);
    pawl_pg_array_fini(&r->sqlstates);
    pawl_pg_array_fini(&r->messages);
    pawl_free(r->columns);
    pawl_free(r->places);
    *r = (pawl_rejects){0};
}

void
pawl_rejects_reset(pawl_rejects *r)
{
    pawl_pg_array_reset(&r->keys);
    pawl_pg_array_reset(&r->values);
    pawl_pg_array_reset(&r->sqlstates);
    pawl_pg_array_reset(&r->messages);
    r->count = 0;
}

/* A transform may raise any bytes, and a text that was cut may end inside a character: the server takes neither. */
static void
make_valid(char *text)
{
    pawl_utf8_fault fault;

    if (!pawl_utf8_has_fault(text, strlen(text), &fault))
        return;
    for (char *c = text; *c != '\0'; c++)
        if ((unsigned char) *c >= 0x80 || ((unsigned char) *c < 0x20 && *c != '\n' && *c != '\t'))
            *c = '?';
}

void
pawl_reject_text(const pawl_error *why, char *out, size_t size)
{
    if (why->code != PAWL_E_TRANSFORM)
        pawl_fmt(out, size, "%s%s%s", why->message, why->detail[0] != '\0' ? "; " : "", why->detail);
    else if (why->file[0] != '\0' && why->line > 0 && strstr(why->message, why->file) == NULL)
        pawl_fmt(out, size, "%s (%s:%d)", why->message, why->file, why->line);
    else
        pawl_fmt(out, size, "%s", why->message);
    out[pawl_utf8_cut(out, strlen(out))] = '\0';
    make_valid(out);
}

static void
add_value(pawl_rejects *r, const pawl_pg_result *res, int row, int at, bool is_redacted)
{
    if (pawl_pg_is_null(res, row, at))
        pawl_pg_array_add_null(&r->values);
    else if (is_redacted)
        pawl_pg_array_add_bytes(&r->values, PAWL_REDACTED, strlen(PAWL_REDACTED));
    else
        pawl_pg_array_add_bytes(&r->values, pawl_pg_text(res, row, at),
                                (size_t) pawl_pg_length(res, row, at));
}

static void
add_place(pawl_rejects *r, int row)
{
    if ((size_t) r->count == r->capacity)
    {
        size_t capacity = r->capacity == 0 ? 64 : r->capacity * 2;
        int *grown = pawl_realloc(r->places, capacity, sizeof *grown);

        if (grown == NULL)
        {
            r->has_no_room = true;
            return;
        }
        r->places = grown;
        r->capacity = capacity;
    }
    r->places[r->count++] = row;
}

void
pawl_rejects_add(pawl_rejects *r, const pawl_pg_result *res, int row, int first_key, const pawl_error *why)
{
    const pawl_job *job = r->job;
    int nkey = job->key->ncolumns;
    char text[sizeof why->message + sizeof why->detail + sizeof why->file + 40];
    pawl_error told = *why;

    pawl_job_redact(job, &told);
    pawl_reject_text(&told, text, sizeof text);
    for (int i = 0; i < nkey; i++)
        pawl_pg_array_add_bytes(&r->keys, pawl_pg_text(res, row, first_key + i),
                                (size_t) pawl_pg_length(res, row, first_key + i));
    for (int i = 0; i < nkey + r->ncolumns; i++)
        add_value(r, res, row, first_key + i,
                  i >= nkey && pawl_job_is_redacted(job, r->columns[i - nkey]->name));
    pawl_pg_array_add_bytes(&r->sqlstates, told.sqlstate, strlen(told.sqlstate));
    pawl_pg_array_add_bytes(&r->messages, text, strlen(text));
    add_place(r, row);
}

pawl_status
pawl_rejects_check(const pawl_rejects *r, pawl_error *err)
{
    const pawl_pg_array *const arrays[] = {&r->names, &r->keys, &r->values, &r->sqlstates, &r->messages};

    bool ok = !r->has_no_room;

    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        ok = ok && pawl_pg_array_is_ok(arrays[i]);
    return ok ? PAWL_OK : pawl_error_nomem(err, "rejected rows");
}

/* The numbers of an insert, as texts. */
typedef struct numbers
{
    char job[24];
    char nkey[24];
    char nvalues[24];
    char part[24];
} numbers;

static void
fill_insert(pawl_rejects *r, numbers *n, pawl_pg_arg args[INSERT_ARGS])
{
    const pawl_job *job = r->job;
    bool is_kept = job->spec->on_error == PAWL_ON_ERROR_QUARANTINE;
    int nkey = job->key->ncolumns;

    args[0] = pawl_arg_i64(job->id, n->job);
    args[1] = PAWL_ARG_TEXT(job->spec->nulls_rejects ? "nulled" : is_kept ? "open" : "skipped");
    args[2] = pawl_arg_i64(nkey, n->nkey);
    args[3] = pawl_pg_array_arg(&r->keys, PAWL_OID_TEXT_ARRAY);
    args[4] = pawl_arg_i64(nkey + r->ncolumns, n->nvalues);
    args[5] = pawl_pg_array_arg(&r->names, PAWL_OID_TEXT_ARRAY);
    args[6] = is_kept ? pawl_pg_array_arg(&r->values, PAWL_OID_TEXT_ARRAY) : PAWL_ARG_NULL;
    args[7] = pawl_pg_array_arg(&r->sqlstates, PAWL_OID_TEXT_ARRAY);
    args[8] = pawl_pg_array_arg(&r->messages, PAWL_OID_TEXT_ARRAY);
    args[9] = pawl_arg_i64(job->part, n->part);
}

void
pawl_rejects_queue(pawl_rejects *r, pawl_ledger *ledger, pawl_pg_pipe *pipe)
{
    const pawl_job *job = r->job;
    const pawl_pg_arg most[] = {PAWL_ARG_I64(job->id), PAWL_ARG_I64(job->spec->max_rejects)};
    pawl_pg_arg rows[INSERT_ARGS];
    numbers n;

    if (r->count == 0)
        return;
    fill_insert(r, &n, rows);
    (void) pawl_pg_pipe_add_long(pipe, pawl_ledger_sql(ledger, pawl_sql_backfill_reject_insert), INSERT_ARGS,
                                 rows);
    (void) pawl_pg_pipe_add(pipe, pawl_ledger_sql(ledger, pawl_sql_backfill_reject_limit), 2, most);
}

pawl_status
pawl_rejects_store(pawl_rejects *r, pawl_ledger *ledger, pawl_pg *pg, pawl_error *err)
{
    const pawl_job *job = r->job;
    const pawl_pg_arg most[] = {PAWL_ARG_I64(job->id), PAWL_ARG_I64(job->spec->max_rejects)};
    pawl_pg_arg rows[INSERT_ARGS];
    numbers n;
    pawl_status st = pawl_rejects_check(r, err);

    if (st != PAWL_OK || r->count == 0)
        return st;
    fill_insert(r, &n, rows);
    st = pawl_ledger_query(ledger, pg, pawl_sql_backfill_reject_insert, INSERT_ARGS, rows, NULL, err);
    return st == PAWL_OK ? pawl_ledger_query(ledger, pg, pawl_sql_backfill_reject_limit, 2, most, NULL, err)
                         : st;
}

/* 22xxx: the type does not take it; 23514 and 23502: a domain does not. Writing NULL does not help where it was another
 * constraint, and then the row stops the job. */
bool
pawl_reject_is_of_value(const pawl_error *why)
{
    if (why->code == PAWL_E_TRANSFORM)
        return true;
    return why->code == PAWL_E_SERVER &&
           (strncmp(why->sqlstate, "22", 2) == 0 || strcmp(why->sqlstate, "23514") == 0 ||
            strcmp(why->sqlstate, "23502") == 0);
}
