/*
 * scratch.h - a schema of the benchmark's own, with a sample of a table and a copy to work on.
 *
 *   open (connect, remove what killed benchmarks left) -> make -> sample -> refill -> (run, refill) ... -> close
 *
 * The schema's comment names the process and the backend that made it. Its session stays open as long as the schema
 * lives: a schema whose backend is gone is nobody's, and the next benchmark removes it.
 *
 * The table itself is only read, 10,000 rows a statement, each in a transaction of its own: no lock but ACCESS SHARE,
 * no snapshot that would hold VACUUM back. Copied are columns, NOT NULL, CHECK, generated columns, storage, fillfactor
 * and every index; not defaults and identities (an UPDATE uses none, and a copied default would tie the table's own
 * sequence to the copy), foreign keys and triggers.
 *
 * Threads: belongs to the thread of the benchmark.
 * Memory:  close frees, and drops the schema, whatever was requested meanwhile.
 */
#ifndef PAWL_BENCH_SCRATCH_H
#define PAWL_BENCH_SCRATCH_H

#include "catalog/table.h"
#include "core/log.h"
#include "core/stop.h"
#include "pg/session.h"
#include "util/strbuf.h"

/* A column that the table does not have yet: a step of the revision before the benchmark's adds it. */
typedef struct pawl_scratch_column
{
    const char *name;
    const char *type;       /* SQL of the user */
    const char *expression; /* the default; NULL: none */
} pawl_scratch_column;

typedef struct pawl_scratch_options
{
    const char *conninfo;
    const char *search_path; /* for the types and defaults of added columns */
    int64_t connect_timeout_ms;
    const pawl_stop *stop;
    const pawl_sink *sink;
} pawl_scratch_options;

typedef struct pawl_scratch
{
    pawl_scratch_options options;
    pawl_pg *pg;
    char schema[32];
    bool has_schema;
    const pawl_table *table; /* given to make; outlives the scratch */
    const pawl_key *key;
    const pawl_scratch_column *added;
    size_t nadded;
    pawl_strbuf refill; /* the statements of a refill, built once */
    pawl_strbuf checks;
    bool has_triggers;
    bool has_foreign_keys;
} pawl_scratch;

PAWL_NODISCARD pawl_status pawl_scratch_open(const pawl_scratch_options *options, pawl_scratch **out,
                                             pawl_error *err);

/* Create the schema, with a ledger in it. PAWL_E_REFUSED where a publication would carry it to subscribers. */
PAWL_NODISCARD pawl_status pawl_scratch_make(pawl_scratch *s, pawl_error *err);

/* Say what is copied; then take `want` rows in key order, from the middle of the table. *got may be less. */
PAWL_NODISCARD pawl_status pawl_scratch_sample(pawl_scratch *s, int64_t want, int64_t *got, pawl_error *err);

/* A new copy of the sample under the table's own name, vacuumed and analysed. */
PAWL_NODISCARD pawl_status pawl_scratch_refill(pawl_scratch *s, pawl_error *err);

/* Drop the schema and close. What could not be dropped is a warning. */
void pawl_scratch_close(pawl_scratch *s);

PAWL_DEFINE_AUTO(pawl_scratch, pawl_scratch_close);

#endif
