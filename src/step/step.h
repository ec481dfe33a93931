/*
 * step.h - the interface that every kind of step implements, one file a kind.
 *
 * A kind is a row of the table in step/kinds.c: its name, how it is read from YAML, what it does. Whoever walks a path
 * of revisions (migrate/) knows no kind by name.
 *
 *   parse (all steps of the directory, problems collected) -> apply | revert ... -> (the arena goes)
 *
 * How a step runs: migrate records 'running' in a transaction of its own. A transactional step then gets ONE
 * transaction with pins and the runner's fence held; what it does, its record 'done' and the renewed lease commit
 * together. A step that is not transactional is called outside any transaction: it does its work through
 * pawl_step_txn, or statement by statement, each piece so that after a SIGKILL between any two the step can be called
 * again (it looks at the catalogue to see what is done), and its record follows.
 *
 * Threads: a step is read-only once parsed; a run belongs to one thread.
 * Memory:  steps live in the arena of the parse, runs in theirs.
 */
#ifndef PAWL_STEP_STEP_H
#define PAWL_STEP_STEP_H

#include "config/settings.h"
#include "ledger/history.h"
#include "ledger/runner.h"
#include "lua/transform.h"
#include "revision/file.h"
#include "util/digest.h"

typedef struct pawl_step
{
    const struct pawl_step_kind *kind;
    const pawl_step_entry *entry;
    void *data;          /* the kind's own */
    const char *summary; /* "add column public.products.price_amount numeric(10,2)" */
    bool is_transactional;
    bool is_reversible; /* has a derived down, its own `down:` list, or `down: nothing` */
    bool needs_rows;    /* rows pass through this program (Lua): no script of SQL can do it */
    const char **files; /* SQL and Lua that it names, relative to the migrations directory */
    size_t nfiles;
    char checksum[PAWL_DIGEST_HEX]; /* over the step's lines and the bytes of those files */
    char frozen[PAWL_DIGEST_HEX];   /* the same without what may change while the step is open (Lua, pace) */
    struct pawl_step **down;        /* of its own `down:` list */
    size_t ndown;
    const struct pawl_step
        *pair; /* of a `switch` its backfill, of a backfill its `switch`; NULL: none, or not looked for */
} pawl_step;

typedef struct pawl_step_parse
{
    const char *root; /* the migrations directory: files are found under it and nowhere else */
    pawl_problems *problems;
    pawl_arena *arena;
} pawl_step_parse;

typedef struct pawl_step_script pawl_step_script; /* step/script.h */

typedef struct pawl_step_run
{
    pawl_pg *pg;
    pawl_ledger *ledger;
    pawl_runner *runner;
    const pawl_settings *settings;
    const char *root;
    const char *conninfo;        /* for sessions of the step's own (workers) */
    const char *direct_conninfo; /* for what a pooler cannot do; NULL: none is set */
    const char *search_path;     /* what the user's SQL sees */
    const char *revision;
    const char *direction; /* up, down */
    int ordinal;
    const pawl_lua_pair *x;
    size_t nx;
    const pawl_lua_pair *secrets;
    size_t nsecrets;
    const pawl_stop *stop;
    const pawl_sink *sink;
    bool restart;         /* an abandoned job may be begun anew */
    pawl_arena *arena;    /* for this run of this step */
    const char *checksum; /* of the step: a job is recorded under it */
    bool tries_once;      /* set by pawl_step_try: a lock that is held is asked for once */
    int vacuums;          /* so many tries of pawl_step_try met an autovacuum */
    bool outwaits_vacuum; /* the next one waits for longer than that may */
    uint32_t waits_for;   /* set by the work: the table that it is about to lock, for messages */
    bool has_given_up;    /* set by what gets over lost connections by itself, within bounds of its own */
    const char *info;     /* what apply recorded (an earlier try of it, too): a JSON object, "{}" at first */
    const char *info_out; /* apply may set it: a JSON object to be recorded with the step; NULL: nothing */
} pawl_step_run;

typedef struct pawl_step_kind
{
    const char *name;   /* the YAML key */
    const char *help;   /* one line */
    const char *sample; /* a template for `pawl revision --step NAME`: YAML for one item of `up` */
    bool has_derived_down;
    /* An unfinished one has left work behind: when it goes on, only what `frozen` leaves out may have changed. */
    bool is_resumed;
    /* Read entry->body into step->data, summary, files, is_transactional. Problems are collected, not returned. */
    pawl_status (*parse)(pawl_step_parse *ctx, const pawl_step_entry *entry, pawl_step *step,
                         pawl_error *err);
    pawl_status (*apply)(pawl_step_run *run, const pawl_step *step, pawl_error *err);
    /* The derived down; NULL when there is none. */
    pawl_status (*revert)(pawl_step_run *run, const pawl_step *step, pawl_error *err);
    /* Asked before a derived down begins: PAWL_E_REFUSED where there is no way back by now. Changes nothing. NULL: there is. */
    pawl_status (*may_revert)(pawl_step_run *run, const pawl_step *step, pawl_error *err);
    /*
     * Asked behind that: whatever would end the derived down half-way and can be known, as the failure that it would be: a
     * row that `reverse` rejects. It does what `tend` does, and changes nothing else. `is_next`: nothing is undone before;
     * else the table may have to become another one first, and what cannot be looked at as it is now is passed over. NULL:
     * nothing is known.
     */
    pawl_status (*look_ahead)(pawl_step_run *run, const pawl_step *step, bool is_next, pawl_error *err);
    /*
     * A step that is done and whose mirror goes on: carry over what it has logged, for at most `budget_ms` (0: all of it).
     * *left is false when nothing is left. Outside of a transaction, without the runner. NULL when there is no such thing.
     */
    pawl_status (*tend)(pawl_step_run *run, const pawl_step *step, int64_t budget_ms, bool *left,
                        pawl_error *err);
    /* Print what apply does, or with `is_back` revert, as a part of a script (step/script.h). */
    pawl_status (*script)(const pawl_step_script *s, const pawl_step *step, bool is_back, pawl_error *err);
} pawl_step_kind;

/* All kinds, ended by a NULL name. */
const pawl_step_kind *pawl_step_kinds(void);

/* The kind of that name, or NULL; and the nearest name, for hints, or NULL. */
const pawl_step_kind *pawl_step_kind_find(const char *name);
const char *pawl_step_kind_nearest(const char *name);

/*
 * Parse one entry (and its own down list). *out is NULL when there were problems with it. Checks that the files it
 * names exist and are regular files under the root.
 */
PAWL_NODISCARD pawl_status pawl_step_parse_entry(pawl_step_parse *ctx, const pawl_step_entry *entry,
                                                 pawl_step **out, pawl_error *err);

/*
 * One transaction of a step that is not transactional: begin with pins, hold the runner, call `work`, renew, commit.
 * On a lock time-out (55P03) and on 40001, 40P01 it is rolled back and tried again with back-off and jitter, up to
 * settings->lock_attempts times, naming through PAWL_EVENT_WAITING who holds the lock on `lock_table` (on
 * run->waits_for when that is 0).
 */
typedef pawl_status (*pawl_step_work)(pawl_step_run *run, void *ctx, pawl_error *err);
PAWL_NODISCARD pawl_status pawl_step_txn(pawl_step_run *run, uint32_t lock_table, pawl_step_work work,
                                         void *ctx, pawl_error *err);

/*
 * For what is tried again with something else between two tries: one try, over a session of the caller's. give_way is what
 * to do about its failure, the `tries`th: PAWL_OK when it was contention and there is another try, which has been said; else
 * the failure, which says that `what` was given up ("the cut-over of \"p\"").
 */
PAWL_NODISCARD pawl_status pawl_step_try(pawl_step_run *run, pawl_pg *pg, pawl_step_work work, void *ctx,
                                         pawl_error *err);
PAWL_NODISCARD pawl_status pawl_step_give_way(const pawl_step_run *run, const char *what, int64_t tries,
                                              const pawl_error *failure, pawl_error *err);

/*
 * After the user's SQL and before ours: the role and the search_path are pawl's again (the step may have set others).
 */
PAWL_NODISCARD pawl_status pawl_step_unpin(pawl_step_run *run, pawl_error *err);

#endif
