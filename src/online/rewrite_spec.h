/*
 * rewrite_spec.h - what a rewrite of a table is told, and where it works.
 *
 * Threads: read-only.
 * Memory:  everything belongs to the caller and outlives the run.
 */
#ifndef PAWL_ONLINE_REWRITE_SPEC_H
#define PAWL_ONLINE_REWRITE_SPEC_H

#include "backfill/spec.h"
#include "ledger/runner.h"

/* A column that is added, or that becomes another. */
typedef struct pawl_rewrite_column
{
    const char *name;
    const char *type;     /* SQL; NULL: as it was */
    const char *using;    /* SQL over the old row; NULL: the transform, else the old value converted */
    const char *fallback; /* its DEFAULT, SQL; NULL: as it was, or none */
    int not_null;         /* -1: as it was, or may be NULL */
} pawl_rewrite_column;

/* A partition, or a storage parameter. */
typedef struct pawl_rewrite_pair
{
    const char *name;
    const char *value; /* "FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')"; "70" */
} pawl_rewrite_pair;

/* What is done. An unfinished job must find it unchanged, Lua and pace excepted. */
typedef struct pawl_rewrite_spec
{
    const char *table;
    const pawl_rewrite_column *change;
    size_t nchange;
    const pawl_rewrite_column *add;
    size_t nadd;
    const char *const *drop;
    size_t ndrop;
    const char *const *order; /* every column of the new table; NULL: as it is, what is added last */
    size_t norder;
    const char *lua_file;    /* NULL: SQL only */
    const char *const *read; /* columns given to the transform; NULL: those that change or go */
    size_t nread;
    const char *where; /* rows that are kept; NULL: all */
    const char *const *primary_key;
    size_t nprimary_key; /* 0: as it is */
    const char *partition_by;
    const pawl_rewrite_pair *partitions;
    size_t npartitions;
    const char *tablespace; /* NULL: as it is */
    const pawl_rewrite_pair *with;
    size_t nwith;
    bool is_manual; /* the cut-over waits to be told */
    bool subscribers_ready;
    bool recreates_views;
    bool keeps_old; /* the old table stays, under another name */
    bool mirrors;   /* after the cut-over the old table follows the new one: the way back; with keeps_old */
    const pawl_rewrite_pair *reverse; /* columns of the old table as SQL over a row of the new one */
    size_t nreverse;
    bool nulls_rejects; /* a row that is refused has NULL for what the transform makes */
    int64_t max_rejects;
    int64_t allow_rejects;
    bool has_lua_reverse; /* the other columns that need it are made by the file's `reverse` */
    /* pace */
    pawl_throttle throttle;
    int64_t batch_rows;  /* rows a transaction of the copy, at most; 0: 1,000,000 */
    int64_t batch_bytes; /* and about so many bytes; 0: 100 MB */
    int64_t drain_rows;  /* entries a transaction of the drain; 0: 10,000 */
    int64_t workers;     /* sessions that copy, then processors that build indexes; 0: one */
    const char *memory;  /* maintenance_work_mem of each; NULL: see src/sql/online/rewrite_build.sql */
} pawl_rewrite_spec;

/* Where and for whom. `base` names server, ledger, transforms, time-outs; on_batch is not used. */
typedef struct pawl_rewrite_env
{
    const pawl_backfill_env *base;
    pawl_runner *runner; /* held by every change of state; NULL: nobody else changes the history */
} pawl_rewrite_env;

#endif
