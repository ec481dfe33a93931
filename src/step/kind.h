/*
 * kind.h - what the files of the step kinds share: the functions in the table, and small helpers for them.
 *
 * Threads: as step.h.
 * Memory:  as step.h; everything that a helper returns lives in the arena of the parse or of the run.
 */
#ifndef PAWL_STEP_KIND_H
#define PAWL_STEP_KIND_H

#include "catalog/table.h"
#include "config/reader.h"
#include "pg/sqlbuf.h"
#include "step/step.h"

#define PAWL_KIND_PARSE(name)                                                                \
    pawl_status pawl_kind_##name##_parse(pawl_step_parse *ctx, const pawl_step_entry *entry, \
                                         pawl_step *step, pawl_error *err)
#define PAWL_KIND_RUN(name, what) \
    pawl_status pawl_kind_##name##_##what(pawl_step_run *run, const pawl_step *step, pawl_error *err)

#define PAWL_KIND_TEND(name)                                                                           \
    pawl_status pawl_kind_##name##_look_ahead(pawl_step_run *run, const pawl_step *step, bool is_next, \
                                              pawl_error *err);                                        \
    pawl_status pawl_kind_##name##_tend(pawl_step_run *run, const pawl_step *step, int64_t budget_ms,  \
                                        bool *left, pawl_error *err)

#define PAWL_KIND_SCRIPT(name)                                                                            \
    pawl_status pawl_kind_##name##_script(const pawl_step_script *s, const pawl_step *step, bool is_back, \
                                          pawl_error *err)

PAWL_KIND_PARSE(sql);
PAWL_KIND_RUN(sql, apply);
PAWL_KIND_SCRIPT(sql);
PAWL_KIND_PARSE(add_column);
PAWL_KIND_RUN(add_column, apply);
PAWL_KIND_RUN(add_column, revert);
PAWL_KIND_SCRIPT(add_column);
PAWL_KIND_PARSE(drop_column);
PAWL_KIND_RUN(drop_column, apply);
PAWL_KIND_RUN(drop_column, revert);
PAWL_KIND_SCRIPT(drop_column);
PAWL_KIND_PARSE(rename_column);
PAWL_KIND_RUN(rename_column, apply);
PAWL_KIND_RUN(rename_column, revert);
PAWL_KIND_SCRIPT(rename_column);
PAWL_KIND_PARSE(set_not_null);
PAWL_KIND_RUN(set_not_null, apply);
PAWL_KIND_RUN(set_not_null, revert);
PAWL_KIND_SCRIPT(set_not_null);
PAWL_KIND_PARSE(create_index);
PAWL_KIND_RUN(create_index, apply);
PAWL_KIND_RUN(create_index, revert);
PAWL_KIND_SCRIPT(create_index);
PAWL_KIND_PARSE(drop_index);
PAWL_KIND_RUN(drop_index, apply);
PAWL_KIND_RUN(drop_index, revert);
PAWL_KIND_SCRIPT(drop_index);
PAWL_KIND_PARSE(add_constraint);
PAWL_KIND_RUN(add_constraint, apply);
PAWL_KIND_RUN(add_constraint, revert);
PAWL_KIND_SCRIPT(add_constraint);
PAWL_KIND_PARSE(drop_constraint);
PAWL_KIND_RUN(drop_constraint, apply);
PAWL_KIND_RUN(drop_constraint, revert);
PAWL_KIND_SCRIPT(drop_constraint);
PAWL_KIND_PARSE(assert);
PAWL_KIND_RUN(assert, apply);
PAWL_KIND_SCRIPT(assert);
PAWL_KIND_PARSE(seed);
PAWL_KIND_RUN(seed, apply);
PAWL_KIND_SCRIPT(seed);
PAWL_KIND_PARSE(backfill);
PAWL_KIND_RUN(backfill, apply);
PAWL_KIND_SCRIPT(backfill);
PAWL_KIND_PARSE(rewrite_table);
PAWL_KIND_RUN(rewrite_table, apply);
PAWL_KIND_RUN(rewrite_table, revert);
PAWL_KIND_RUN(rewrite_table, may_revert);
PAWL_KIND_SCRIPT(rewrite_table);
PAWL_KIND_TEND(rewrite_table);
PAWL_KIND_PARSE(swap_column);
PAWL_KIND_RUN(swap_column, apply);
PAWL_KIND_RUN(swap_column, revert);
PAWL_KIND_RUN(swap_column, may_revert);
PAWL_KIND_TEND(swap_column);
PAWL_KIND_PARSE(switch);
PAWL_KIND_RUN(switch, apply);
PAWL_KIND_RUN(switch, revert);
PAWL_KIND_RUN(switch, may_revert);
PAWL_KIND_TEND(switch);
PAWL_KIND_PARSE(contract);
PAWL_KIND_RUN(contract, apply);

/* ---- while parsing ---------------------------------------------------------------------------------------------- */

/*
 * Read a file that the step names and add it to step->files. `node` is where the name stands. *out is untouched when
 * there is a problem with it: an absolute path, one that leads out of the root, no regular file.
 */
PAWL_NODISCARD pawl_status pawl_step_read_file(pawl_step_parse *ctx, const pawl_yaml *node, const char *path,
                                               pawl_step *step, const char **out, pawl_error *err);

/* Add names and bytes of step->files. */
PAWL_NODISCARD pawl_status pawl_step_digest_files(const pawl_step_parse *ctx, const pawl_step *step,
                                                  pawl_digest *digest, pawl_error *err);

/* The line of the revision file on which the text of a scalar begins. */
int pawl_step_text_line(const pawl_step_entry *entry, const pawl_yaml *node);

/*
 * The exact name of something that is to be made: 1 to 63 bytes (the server would cut a longer one, and it would not be
 * found again).
 */
bool pawl_step_has_name(pawl_reader *r, const char *key, const char **out);

/*
 * A name as SQL spells it, with an optional schema ("" when there is none), taken apart: quotes removed, and what is
 * not quoted in lower case where `folds` is true. False when it is no such name, or memory ran out.
 */
bool pawl_step_can_split_name(const char *text, bool folds, pawl_arena *arena, const char **schema,
                              const char **name);

/* `max_rejects` and `allow_rejects` of a step with `rejects: write_null`: how many rows may be NULL, and how many may go live
 * so. */
void pawl_step_read_rejects(pawl_reader *r, bool nulls_rejects, int64_t *max_rejects, int64_t *allow_rejects);

/*
 * What may not change while the step is open, for step->frozen: a text (NULL is another one than ""), a list under a name,
 * and the end of it.
 */
void pawl_step_freeze(pawl_digest *digest, const char *text);
void pawl_step_freeze_list(pawl_digest *digest, const char *name, const char *const *items, size_t count);
PAWL_NODISCARD pawl_status pawl_step_freeze_end(pawl_digest *digest, pawl_step *step, pawl_error *err);

/* step->summary */
PAWL_NODISCARD pawl_status pawl_step_summary(pawl_step_parse *ctx, pawl_step *step, pawl_error *err,
                                             const char *fmt, ...) PAWL_PRINTF(4, 5);

/* ---- while running ---------------------------------------------------------------------------------------------- */

/* Look the table up in the transaction at hand; its lock is what is waited for from now on. */
PAWL_NODISCARD pawl_status pawl_step_table(pawl_step_run *run, const char *name, pawl_table **out,
                                           pawl_error *err);

/* The same with a column that must be there. */
PAWL_NODISCARD pawl_status pawl_step_column(pawl_step_run *run, const char *table_name, const char *column,
                                            pawl_table **table, const pawl_column **out, pawl_error *err);

/* Run what was built; PAWL_E_NOMEM when the buffer ran out of memory. */
PAWL_NODISCARD pawl_status pawl_step_exec(pawl_step_run *run, const pawl_strbuf *sql, pawl_error *err);

/* ALTER TABLE "schema"."table" and a blank */
void pawl_step_alter(pawl_strbuf *sql, const pawl_table *table);

/* LOCK TABLE in the transaction at hand, in a mode that is static text of ours ("SHARE ROW EXCLUSIVE"). */
PAWL_NODISCARD pawl_status pawl_step_lock(pawl_step_run *run, const pawl_table *table, const char *mode,
                                          bool can_wait, pawl_error *err);

/* The keys of some rows of the table (alias t) for which the condition holds, as "id = 7; id = 9"; of one; NULL when there
 * is none. */
PAWL_NODISCARD pawl_status pawl_step_examples(pawl_step_run *run, const pawl_table *table,
                                              const pawl_strbuf *condition, int most, const char **out,
                                              pawl_error *err);
PAWL_NODISCARD pawl_status pawl_step_example(pawl_step_run *run, const pawl_table *table,
                                             const pawl_strbuf *condition, const char **out, pawl_error *err);

/*
 * Note facts with the step, in the transaction at hand and as the last of its work: they are in run->info when the step
 * is called again. A JSON object, or one text.
 */
PAWL_NODISCARD pawl_status pawl_step_note(pawl_step_run *run, const char *json, pawl_error *err);
PAWL_NODISCARD pawl_status pawl_step_note_text(pawl_step_run *run, const char *key, const char *value,
                                               pawl_error *err);

/* A text of run->info, in the run's arena; NULL when it is not there. */
const char *pawl_step_info_text(const pawl_step_run *run, const char *key);

/* A boolean of run->info: *out is untouched when it is not there. */
void pawl_step_info_bool(const pawl_step_run *run, const char *key, bool *out);

#endif
