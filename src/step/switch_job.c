/* What a switch has to do with the job of its backfill. */
#include <string.h>

#include "pawl_sql.h"
#include "step/switch.h"
#include "util/alloc.h"
#include "util/file.h"

#include "util/banned.h"

#define FILE_LIMIT ((size_t) 16 << 20)

static void
add_text(pawl_digest *digest, const char *text, size_t length)
{
    pawl_digest_add(digest, text, length);
    pawl_digest_add(digest, "", 1);
}

static pawl_status
add_file(pawl_digest *digest, const char *root, const char *path, pawl_error *err)
{
    PAWL_AUTO(pawl_str) full = pawl_file_join(root, path);
    PAWL_AUTO(pawl_str) text = NULL;
    size_t length = 0;
    char reason[128];

    if (full == NULL)
        return pawl_error_nomem(err, "a path");

    int failed = pawl_file_read(full, FILE_LIMIT, &text, &length);

    if (failed != 0)
    {
        pawl_file_strerror(failed, reason, sizeof reason);
        return pawl_error_set(err, PAWL_E_IO, "cannot read \"%s\": %s", full, reason);
    }
    add_text(digest, path, strlen(path));
    add_text(digest, text, length);
    return PAWL_OK;
}

/* What the transform's answers depend on beside the row and the context of the job (backfill/context.h): its files. */
static pawl_status
digest_of(const pawl_step_run *run, const char *const *files, size_t nfiles, char out[PAWL_DIGEST_HEX],
          pawl_error *err)
{
    PAWL_AUTO(pawl_digest) digest = pawl_digest_new();
    pawl_status st = PAWL_OK;

    if (digest == NULL)
        return pawl_error_nomem(err, "a checksum");
    for (size_t i = 0; st == PAWL_OK && i < nfiles; i++)
        st = add_file(digest, run->root, files[i], err);
    pawl_digest_final(digest, out);
    if (st == PAWL_OK && out[0] == '\0')
        st = pawl_error_nomem(err, "a checksum");
    return st;
}

pawl_status
pawl_switch_keep(pawl_step_run *run, const pawl_step *backfill, const pawl_backfill_spec *spec, int64_t job,
                 pawl_error *err)
{
    char digest[PAWL_DIGEST_HEX];
    pawl_pg_array files;
    pawl_status st = digest_of(run, backfill->files, backfill->nfiles, digest, err);

    if (st != PAWL_OK)
        return st;
    pawl_pg_array_init(&files, PAWL_OID_TEXT);
    for (size_t i = 0; i < backfill->nfiles; i++)
        pawl_pg_array_add_bytes(&files, backfill->files[i], strlen(backfill->files[i]));
    if (pawl_pg_array_is_ok(&files))
    {
        const pawl_pg_arg args[] = {PAWL_ARG_I64(job),
                                    spec->lua_file == NULL ? PAWL_ARG_NULL : PAWL_ARG_TEXT(spec->lua_file),
                                    pawl_pg_array_arg(&files, PAWL_OID_TEXT_ARRAY), PAWL_ARG_TEXT(digest)};

        st = pawl_ledger_query(run->ledger, run->pg, pawl_sql_step_captured_keep, 4, args, NULL, err);
    }
    else
        st = pawl_error_nomem(err, "a list of files");
    pawl_pg_array_fini(&files);
    return st;
}

/* ---- from the job to the swap ----------------------------------------------------------------------------------------- */

static pawl_status
no_job(const pawl_swap *s, pawl_error *err)
{
    (void) pawl_error_set(
        err, PAWL_E_STATE,
        "nothing has logged the changes of \"%s\" since column \"%s\" was filled: there is no "
        "backfill of it whose capture is still on",
        s->d->table, s->d->with);
    return pawl_error_hint(err,
                           "a `backfill` with `capture: true` must fill it before; where one did and was "
                           "abandoned, or its table replaced, take its revision back with `pawl "
                           "downgrade` and apply it again");
}

/* A list of names as it was printed. */
static bool
can_take_list(pawl_arena *arena, const char *text, const char ***out, size_t *count)
{
    char **items = NULL;
    const char **list;

    if (!pawl_pg_array_can_split(arena, text, &items, count) ||
        (list = pawl_arena_array(arena, *count + 1, sizeof *list)) == NULL)
        return false;
    for (size_t i = 0; i < *count; i++)
        list[i] = items[i];
    *out = list;
    return true;
}

static pawl_status
take_texts(pawl_swap *s, pawl_swap_data *d, const pawl_pg_result *res, const char ***files, size_t *nfiles,
           pawl_error *err)
{
    pawl_arena *arena = s->run->arena;

    if (!can_take_list(arena, pawl_pg_text(res, 0, 1), &d->key, &d->nkey) ||
        !can_take_list(arena, pawl_pg_text(res, 0, 2), &d->read, &d->nread) ||
        !can_take_list(arena, pawl_pg_text(res, 0, 5), files, nfiles) ||
        (!pawl_pg_is_null(res, 0, 3) &&
         (s->set[0].expression = pawl_arena_strdup(arena, pawl_pg_text(res, 0, 3))) == NULL) ||
        (!pawl_pg_is_null(res, 0, 4) && (d->lua = pawl_arena_strdup(arena, pawl_pg_text(res, 0, 4))) == NULL))
        return pawl_error_nomem(err, "a switch");
    s->job = pawl_pg_i64(res, 0, 0);
    s->started_us = pawl_pg_i64(res, 0, 7);
    return PAWL_OK;
}

static pawl_status
check_files(pawl_swap *s, const char *const *files, size_t nfiles, const char *was, pawl_error *err)
{
    char digest[PAWL_DIGEST_HEX];
    pawl_status st = digest_of(s->run, files, nfiles, digest, err);

    if (st != PAWL_OK || strcmp(digest, was) == 0)
        return st;
    (void) pawl_error_set(err, PAWL_E_STATE,
                          "the transform or a module of it is not what filled column \"%s\" of \"%s\"",
                          s->d->with, s->d->table);
    return pawl_error_hint(err,
                           "rows that others changed meanwhile would be done otherwise than the rest: put it "
                           "back as it was, or take the revision of the backfill back and apply it again");
}

pawl_status
pawl_switch_find(pawl_swap *s, pawl_swap_data *d, int64_t job, bool runs_transform, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_pins pins = {0};
    char number[24];
    char oid[24];
    const char **files = NULL;
    size_t nfiles = 0;
    pawl_status st = pawl_pg_begin(s->run->pg, &pins, err);

    if (st != PAWL_OK)
        return st;
    if ((st = pawl_swap_look(s, s->run->pg, err)) == PAWL_OK)
    {
        const pawl_pg_arg args[] = {pawl_arg_i64(job, number), pawl_arg_i64(s->table->oid, oid),
                                    PAWL_ARG_TEXT(d->with)};

        st = pawl_ledger_query(s->run->ledger, s->run->pg, pawl_sql_step_switch_find, 3, args, &res, err);
    }
    pawl_pg_rollback(s->run->pg);
    if (st != PAWL_OK)
        return st;
    if (pawl_pg_rows(res) == 0)
        return no_job(s, err);
    if (pawl_pg_i64(res, 0, 8) > 0)
        return pawl_error_set(
            err, PAWL_E_REFUSED,
            "%lld rows of \"%s\" were set aside by the backfill of column \"%s\": they would "
            "be NULL after the switch",
            (long long) pawl_pg_i64(res, 0, 8), d->table, d->with);
    if ((st = take_texts(s, d, res, &files, &nfiles, err)) != PAWL_OK)
        return st;
    return runs_transform ? check_files(s, files, nfiles, pawl_pg_text(res, 0, 6), err) : PAWL_OK;
}
