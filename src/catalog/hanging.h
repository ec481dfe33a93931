/*
 * hanging.h - everything that hangs on a column or on a table, and what becomes of it when these are replaced.
 *
 * A column that is swapped, and a table that is rewritten, take nothing along by themselves: defaults, constraints,
 * indexes, views, policies, grants follow the old one. So all of it is listed beforehand, by oid, with the definition
 * that the server itself prints, and each piece gets a disposition: it is carried over, or nothing starts, or its
 * owner is told. What pg_depend knows of and this list does not is listed as PAWL_HANG_OTHER, and refused.
 *
 *   load -> judge (for a column and a mode) -> look at items, or -> refuse
 *
 * Read-only. The text search through function bodies is a call of its own: it reads every body, and has no place in
 * a locked moment. Servers from PostgreSQL 13 on.
 *
 * Threads: an inventory belongs to one thread; read-only once judged.
 * Memory:  everything lives in the arena that was given.
 */
#ifndef PAWL_CATALOG_HANGING_H
#define PAWL_CATALOG_HANGING_H

#include "pg/exec.h"
#include "util/arena.h"

/* What it is. `definition` says what the field of the item holds; all names in it are qualified. */
typedef enum pawl_hang_kind
{
    /* of a column; `name` is the column's */
    PAWL_HANG_COLUMN,   /* its type and, when it is not the type's own, its collation */
    PAWL_HANG_DEFAULT,  /* the expression */
    PAWL_HANG_NOT_NULL, /* "" */
    PAWL_HANG_IDENTITY, /* "ALWAYS" or "BY DEFAULT"; relation: its sequence; tail: the sequence's options */
    PAWL_HANG_SEQUENCE, /* owned by the column, as serial makes it: its type; relation: the sequence */
    PAWL_HANG_SEQUENCE_PART,     /* of either sequence: a statement to run when it is made anew */
    PAWL_HANG_GENERATED,         /* the expression; columns: the generated one and those that it reads */
    PAWL_HANG_STATISTICS_TARGET, /* the number */
    PAWL_HANG_STORAGE,           /* "MAIN", ... where it is not the type's own */
    PAWL_HANG_COMPRESSION,       /* the method, where one is set */
    PAWL_HANG_OPTIONS,           /* "n_distinct=5", ... */
    PAWL_HANG_COLUMN_PRIVILEGE,  /* GRANT ... (column) ON TABLE ... */
    PAWL_HANG_COLUMN_COMMENT,    /* the text */
    PAWL_HANG_PARTITION_KEY,     /* pg_get_partkeydef */

    /* of one column or several */
    PAWL_HANG_PRIMARY_KEY, /* pg_get_constraintdef; tail: what follows the table's name in its index's definition */
    PAWL_HANG_UNIQUE,    /* likewise */
    PAWL_HANG_EXCLUSION, /* likewise */
    PAWL_HANG_CHECK,     /* pg_get_constraintdef */
    PAWL_HANG_FOREIGN_KEY, /* the same; relation: the table referred to; others: its columns; tail: what follows them */
    PAWL_HANG_REFERENCED_BY, /* a foreign key of another table; relation: that table; others: its columns */
    PAWL_HANG_INDEX,         /* pg_get_indexdef; tail: what follows the table's name in it */
    PAWL_HANG_INDEX_PART, /* of an index (name): a statement to run when it is made anew; comments of plain ones are in comment */
    PAWL_HANG_STATISTICS, /* pg_get_statisticsobjdef; tail: what stands between its name and FROM */
    PAWL_HANG_VIEW,       /* CREATE VIEW ...; also one that reads the table through other views */
    PAWL_HANG_MATVIEW,    /* CREATE MATERIALIZED VIEW ... */
    PAWL_HANG_VIEW_PART, /* of a view (relation): a statement to run after it is made anew, in order; flags: which */
    PAWL_HANG_ON_VIEW,            /* what depends on a view (relation) and is none; name: what it is */
    PAWL_HANG_RULE,               /* pg_get_ruledef; relation: the table or view that has it */
    PAWL_HANG_POLICY,             /* CREATE POLICY ...; relation: the table that has it */
    PAWL_HANG_TRIGGER,            /* pg_get_triggerdef; columns: those of UPDATE OF and WHEN */
    PAWL_HANG_FUNCTION,           /* with a body that the server keeps dependencies of (BEGIN ATOMIC) */
    PAWL_HANG_FUNCTION_BODY,      /* whose text names the column: a guess */
    PAWL_HANG_PUBLICATION,        /* ALTER PUBLICATION ... ADD TABLE ...; columns: those of its list */
    PAWL_HANG_PUBLICATION_FILTER, /* the row filter; columns: those that it reads */

    /* of the table; `columns` is empty */
    PAWL_HANG_PUBLICATION_WIDE, /* FOR ALL TABLES, or of the schema */
    PAWL_HANG_SUBSCRIPTION,     /* the table is filled by one */
    PAWL_HANG_INHERITANCE,      /* "parent of ...", "child of ...", "partition of ..." */
    PAWL_HANG_PARTITIONED,
    PAWL_HANG_TYPED,    /* the type that the table is OF */
    PAWL_HANG_ROW_TYPE, /* something that uses the table's row type */
    PAWL_HANG_EXTENSION,
    PAWL_HANG_OWNER,            /* the role, quoted */
    PAWL_HANG_PRIVILEGE,        /* GRANT ... ON TABLE ... */
    PAWL_HANG_COMMENT,          /* the text */
    PAWL_HANG_SECURITY_LABEL,   /* SECURITY LABEL FOR ... ON ...; of a column or of the table */
    PAWL_HANG_STORAGE_OPTIONS,  /* "fillfactor=70, toast.autovacuum_enabled=false" */
    PAWL_HANG_TABLESPACE,       /* quoted */
    PAWL_HANG_ACCESS_METHOD,    /* quoted */
    PAWL_HANG_PERSISTENCE,      /* "UNLOGGED" */
    PAWL_HANG_ROW_SECURITY,     /* "ENABLE", "FORCE": what was set */
    PAWL_HANG_REPLICA_IDENTITY, /* "FULL", "NOTHING", "USING INDEX name" */
    PAWL_HANG_CLUSTER,          /* the index */
    PAWL_HANG_OTHER,            /* a dependency that nothing above covers */
    PAWL_HANG_KINDS,
} pawl_hang_kind;

typedef enum pawl_hang_fate
{
    PAWL_FATE_NONE,    /* not concerned */
    PAWL_FATE_CARRIED, /* re-created or moved */
    PAWL_FATE_WARNING, /* left as it is; `reason` says what that means */
    PAWL_FATE_REFUSED, /* nothing starts; `reason` says why, `advice` what to do */
} pawl_hang_fate;

typedef struct pawl_hang
{
    pawl_hang_kind kind;
    uint32_t oid;       /* of the object, 0 when it has none of its own */
    const char *schema; /* "" when it has none */
    const char *name;
    const char
        *relation; /* qualified and quoted: what it sits on when that is not the table, see the kinds */
    const char *definition;
    const char *tail; /* see the kinds; "" when there is none */
    const char
        *made; /* the definition as the server printed it when it had been carried over; NULL: not known */
    char **columns; /* of this table, in the order of the object */
    size_t ncolumns;
    char **others; /* the columns on the other side of a foreign key */
    size_t nothers;
    const char *flags;      /* words between spaces, see pawl_hang_has */
    const char *comment;    /* on the object, NULL when there is none */
    const char *tablespace; /* of an index, quoted; "" for the default */

    /* what judge decides */
    pawl_hang_fate fate;
    const char *reason;
    const char *advice;
} pawl_hang;

typedef struct pawl_hanging
{
    uint32_t oid;
    const char *schema;
    const char *table;
    int server_version; /* as server_version_num */
    pawl_hang *items;   /* in an order in which they can be made again: views after those that they read */
    size_t nitems;
} pawl_hanging;

/* How the column or the table is going to be replaced. */
typedef enum pawl_hang_mode
{
    PAWL_HANG_SWAP_CAPTURED, /* swap_column with a transform: the new column lags behind until the cut-over */
    PAWL_HANG_SWAP_IN_STEP,  /* swap_column with `using:`: a trigger sets the new column at once */
    PAWL_HANG_REWRITE,       /* rewrite_table; every column is concerned */
} pawl_hang_mode;

typedef struct pawl_hang_options
{
    pawl_hang_mode mode;
    const char *column; /* of a swap; NULL for a rewrite */
    bool
        keeps_in_step; /* of a swap: a trigger of ours sets the other column, before the cut-over or after it */
    bool recreate_views;
    bool subscribers_ready;
} pawl_hang_options;

/*
 * List what hangs on the table with this oid. Triggers of functions in `ledger_schema` are pawl's own and left out.
 * Run inside a transaction of the caller, whose search_path is pinned.
 */
PAWL_NODISCARD pawl_status pawl_hanging_load(pawl_pg *pg, uint32_t table, const char *ledger_schema,
                                             pawl_arena *arena, pawl_hanging **out, pawl_error *err);

/*
 * The same with the statement planned beforehand, which is most of its time: for a locked moment. prepare, then load once
 * before the lock (with plan_cache_mode = force_generic_plan, as for each load), load under it, unprepare. The prepared
 * statement is the session's; prepare replaces one that an earlier attempt has left.
 */
PAWL_NODISCARD pawl_status pawl_hanging_prepare(pawl_pg *pg, pawl_error *err);
PAWL_NODISCARD pawl_status pawl_hanging_load_prepared(pawl_pg *pg, uint32_t table, const char *ledger_schema,
                                                      pawl_arena *arena, pawl_hanging **out, pawl_error *err);
PAWL_NODISCARD pawl_status pawl_hanging_unprepare(pawl_pg *pg, pawl_error *err);

/* Add the functions whose text names `column` (NULL: any column) and that have to do with the table. */
PAWL_NODISCARD pawl_status pawl_hanging_add_bodies(pawl_pg *pg, pawl_hanging *hanging, const char *column,
                                                   const char *ledger_schema, pawl_arena *arena,
                                                   pawl_error *err);

/* Give every item its fate; those that do not concern the column get PAWL_FATE_NONE. */
void pawl_hanging_judge(pawl_hanging *hanging, const pawl_hang_options *options);

/*
 * PAWL_E_REFUSED naming every item that is refused, with what to do; PAWL_OK when there is none. An error's texts have
 * limits: where a list may be long, show pawl_hanging_text beside it.
 */
PAWL_NODISCARD pawl_status pawl_hanging_refuse(const pawl_hanging *hanging, const pawl_hang_options *options,
                                               pawl_error *err);

/* Everything that has this fate, a line each ("index public.t_a_idx: ..."), for plans and messages without limits. */
PAWL_NODISCARD pawl_status pawl_hanging_text(const pawl_hanging *hanging, pawl_hang_fate fate,
                                             pawl_arena *arena, const char **out, pawl_error *err);

bool pawl_hang_has_column(const pawl_hang *item, const char *column);

/*
 * Flags: unique, partial, expression, invalid, clustered, replica_identity, nulls_not_distinct, deferrable, deferred,
 * not_valid, self (a foreign key within the table), partitioned (the table that has a foreign key), set_columns (ON
 * DELETE SET ... names columns), local (of the table itself, for rules and policies), disabled, always, replica,
 * constraint (a constraint trigger), whole_row; of a view indirect (over a view), not_populated, temporary, extension,
 * not_owner and no_create (what the current role may not do with it).
 */
bool pawl_hang_has(const pawl_hang *item, const char *flag);

/* A part of a view that says something of its columns: a default, a rule, a trigger. The others are settings. */
bool pawl_hang_is_defining(const pawl_hang *item);

/* "index", "foreign key", "view": a static string; and the item as people name it: index "public"."t_a_idx". */
const char *pawl_hang_kind_name(pawl_hang_kind kind);
const char *pawl_hang_label(const pawl_hanging *hanging, const pawl_hang *item, pawl_arena *arena);

/* The kind by the name that JSON and SQL give it ("foreign_key"), PAWL_HANG_KINDS when there is none. */
pawl_hang_kind pawl_hang_kind_of(const char *key);
const char *pawl_hang_kind_key(pawl_hang_kind kind);

#endif
