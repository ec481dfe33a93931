/*
 * settings.h - the settings of a run, from one table.
 *
 * One table (settings.c) names every setting once: its key in pawl.yaml, its environment variable (PAWL_ and the key
 * in capitals, "." as "_"), its flag, its type, default and help text. The parser, `--help`, completion and the manual
 * read the same table (pawl_settings_table in pawl/project.h).
 *
 * Precedence, lowest first: default, pawl.yaml, its `--env` section, the revision, environment variable, flag. A value
 * that comes from the revision is put in by whoever reads the revision, and only where `origin` is below
 * PAWL_ORIGIN_VARIABLE: see pawl_settings_is_yielding.
 *
 * `${VAR}` in a text of pawl.yaml is replaced by the environment variable, "$$" by "$". The two databases keep it until
 * they are used (pawl_settings_expand), because a verb may do without them; an unset variable is an error only then.
 * The other texts are replaced by load. Flags and variables are taken literally: load doubles each "$" of a database
 * that comes from there, so that expanding gives back what was typed.
 *
 * Threads: settings are read-only once loaded.
 * Memory:  everything lives in the arena that was given to load.
 */
#ifndef PAWL_CONFIG_SETTINGS_H
#define PAWL_CONFIG_SETTINGS_H

#include "config/reader.h"

typedef enum pawl_origin
{
    PAWL_ORIGIN_DEFAULT,
    PAWL_ORIGIN_FILE,
    PAWL_ORIGIN_SECTION,  /* environments: NAME: in the file */
    PAWL_ORIGIN_VARIABLE, /* an environment variable: stronger than a revision */
    PAWL_ORIGIN_FLAG,
} pawl_origin;

typedef enum pawl_setting
{
    PAWL_SET_DATABASE,
    PAWL_SET_DIRECT_DATABASE,
    PAWL_SET_MIGRATIONS,
    PAWL_SET_SCHEMA,
    PAWL_SET_SEARCH_PATH,
    PAWL_SET_LOCK_TIMEOUT,
    PAWL_SET_LOCK_ATTEMPTS,
    PAWL_SET_STATEMENT_TIMEOUT,
    PAWL_SET_CONNECT_TIMEOUT,
    PAWL_SET_POOLER,
    PAWL_SET_WAIT,
    PAWL_SET_LEASE,
    PAWL_SET_SUBSCRIBERS_READY,
    PAWL_SET_WORKERS,   /* backfill.workers */
    PAWL_SET_BATCH,     /* backfill.batch: auto or rows */
    PAWL_SET_TARGET,    /* backfill.target: time a batch should take */
    PAWL_SET_BATCH_MIN, /* backfill.min */
    PAWL_SET_BATCH_MAX, /* backfill.max */
    PAWL_SET_MAX_LAG,   /* backfill.max_lag */
    PAWL_SET_MAX_RATE,  /* backfill.max_rate */
    PAWL_SET_COUNT,
} pawl_setting;

typedef struct pawl_settings
{
    const char *database;         /* conninfo or URI; "" : libpq's own environment */
    const char *direct_database;  /* for what a pooler cannot do; "" when there is none */
    const char *migrations;       /* directory, already joined with that of pawl.yaml */
    const char *schema;           /* of the ledger: "pawl" */
    const char *search_path;      /* what user code sees: "public" */
    int64_t lock_timeout_ms;      /* 500 */
    int64_t lock_attempts;        /* 60 */
    int64_t statement_timeout_ms; /* 0 */
    int64_t connect_timeout_ms;   /* 10,000 */
    const char *pooler;           /* auto, transaction, none */
    int64_t wait_ms;              /* for another runner: 30,000 */
    int64_t lease_ms;             /* 30,000 */
    bool subscribers_ready;       /* a publication may carry the ledger: its subscribers know the tables */
    int64_t workers;              /* 2 */
    int64_t batch_rows;           /* 0: auto */
    int64_t target_ms;            /* 250 */
    int64_t batch_min;            /* 100 */
    int64_t batch_max;            /* 50,000 */
    int64_t max_lag_ms;           /* 5,000; 0: none */
    int64_t max_rate;             /* 0: none */
    const char *environment;      /* the chosen section, "" when none */
    bool has_environments;        /* pawl.yaml has sections */
    const char **environments;    /* their names */
    size_t nenvironments;
    const char **secrets; /* names of environment variables that Lua may read */
    size_t nsecrets;
    const char *config_file; /* the pawl.yaml that was read, "" when none */
    pawl_origin origin[PAWL_SET_COUNT];
} pawl_settings;

/*
 * Give one setting its value, as text: true when it is of the right type and range. Otherwise `expected` says what it
 * should be ("a whole number from 1 to 256"), and the settings are untouched. Texts are kept by reference.
 */
#define PAWL_SETTING_EXPECTED 96
bool pawl_setting_has_value(pawl_setting setting, const char *text, pawl_settings *out,
                            char expected[PAWL_SETTING_EXPECTED]);

/* True when a revision's own value for this setting counts. */
bool pawl_settings_is_yielding(const pawl_settings *s, pawl_setting setting);

/* `pooler: transaction`: one stands in between, even where that does not show. */
bool pawl_settings_has_pooler(const pawl_settings *s);

/*
 * Load. `options` carries --config, --env and the flags. A missing pawl.yaml is no error unless it was named; every
 * wrong key or value of the file is a problem. PAWL_E_IO when the file is there and cannot be read, PAWL_E_USAGE for an
 * unknown flag key or environment name and for a wrong value of a flag or variable.
 */
PAWL_NODISCARD pawl_status pawl_settings_load(const pawl_project_options *options, pawl_arena *arena,
                                              pawl_problems *problems, pawl_settings *out, pawl_error *err);

/* Replace ${VAR} and $$; any other "$" stays. PAWL_E_INPUT that names the unset variable and the setting that uses it. */
PAWL_NODISCARD pawl_status pawl_settings_expand(const char *text, const char *setting, pawl_arena *arena,
                                                const char **out, pawl_error *err);

#endif
