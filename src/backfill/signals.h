/*
 * signals.h - what the database says about holding back: one look, one verdict.
 *
 * Looked at, where the throttle says so: the time of day, how far standbys and slots are behind, how much WAL the server
 * writes, sessions that wait for locks of the workers, active sessions, dead rows, and how long a probe query takes.
 *
 * WAL is what the whole server writes, whoever writes it: that is what standbys, archives and disks have to take. A budget
 * grows by the rate and shrinks by what was written; while it is overdrawn the job is held back, so that the mean is kept
 * however seldom one looks. What others write is held against the job, up to some seconds' worth.
 *
 * How far behind something is counts in time, and in bytes: where the end of the WAL was is kept for a while, so that the place of a
 * standby tells when that was the end. The server's own measure is taken too; alone it would say nothing of slots and
 * stand still while a standby is silent.
 *
 *   new -> look ... -> free
 *
 * Threads: belongs to the thread of the control (control.c).
 * Memory:  new and free.
 */
#ifndef PAWL_BACKFILL_SIGNALS_H
#define PAWL_BACKFILL_SIGNALS_H

#include "backfill/job.h"
#include "backfill/pacing.h"

#define PAWL_HOLD_MAX sizeof(((pawl_progress *) NULL)->holding)

typedef struct pawl_signals pawl_signals;

typedef struct pawl_verdict
{
    char why[PAWL_HOLD_MAX];     /* "" when nothing holds it back */
    bool is_long;                /* it will take a while: give back what you hold (the window is closed) */
    bool asks_for_less;          /* smaller batches would help */
    char warning[PAWL_HOLD_MAX]; /* something a person should know, the first time; else "" */
} pawl_verdict;

PAWL_NODISCARD pawl_status pawl_signals_new(const pawl_job *job, pawl_signals **out, pawl_error *err);
void pawl_signals_free(pawl_signals *signals);

/* Look once; nothing is asked when nothing is to be looked at. Runs transactions of its own. */
PAWL_NODISCARD pawl_status pawl_signals_look(pawl_signals *signals, const pawl_throttle *throttle,
                                             pawl_pg *pg, pawl_verdict *out, pawl_error *err);

/* Exposed for its test: what may be written. */
typedef struct pawl_wal_budget
{
    int64_t lsn; /* at the last look; 0: there was none */
    int64_t at_us;
    double bytes; /* may be overdrawn */
    double rate;  /* bytes a second that were written lately */
} pawl_wal_budget;

/* True when it is overdrawn. */
bool pawl_wal_is_overdrawn(pawl_wal_budget *budget, int64_t max_rate, int64_t lsn, int64_t now_us);

/*
 * How long ago the end of the WAL was at `at`, by samples; `now` is the newest. Exposed for its test.
 */
typedef struct pawl_wal_sample
{
    int64_t at_us;
    int64_t lsn;
} pawl_wal_sample;

int64_t pawl_wal_age_ms(const pawl_wal_sample *samples, int count, int64_t at, int64_t now_us);

PAWL_DEFINE_AUTO(pawl_signals, pawl_signals_free);

#endif
