/*
 * pacing.h - how hard a job may work: the values, and the keys by which they are told.
 *
 * One table (pacing.c) names each key once, with its type, range and help: `throttle:` of a step and `pawl tune` read
 * it, help and completion list it. What is off is told with "none".
 *
 * Threads: plain values.
 * Memory:  nothing is allocated.
 */
#ifndef PAWL_BACKFILL_PACING_H
#define PAWL_BACKFILL_PACING_H

#include "core/error.h"

#include "pawl/control.h"

#define PAWL_WINDOW_MAX 96

/* What holds a job back; 0 is "not looked at". */
typedef struct pawl_throttle
{
    int64_t max_rate;             /* rows a second, over all processes of the job */
    int64_t max_lag_ms;           /* of any standby or slot */
    int64_t max_lag_bytes;        /* the same, in WAL */
    int64_t max_wal_rate;         /* bytes of WAL a second, of the whole server */
    int64_t waiters_below;        /* fewer sessions than this may wait for locks of the job's workers */
    int64_t max_active;           /* active sessions of the server, our own not counted */
    int64_t max_dead;             /* dead rows of the table, as the statistics have them */
    int64_t probe_max_ms;         /* the probe may take so long */
    const char *probe;            /* SQL; NULL: none */
    char window[PAWL_WINDOW_MAX]; /* "22:00-06:00 Europe/Berlin"; "": always */
} pawl_throttle;

typedef struct pawl_pacing
{
    int64_t workers;
    int64_t batch_rows; /* 0: by time */
    int64_t target_ms;
    int64_t batch_min;
    int64_t batch_max;
    pawl_throttle throttle;
} pawl_pacing;

/*
 * Give one key its value, as text. False when there is no such key, or when the value is none for it: `expected` then
 * says what it should be ("" when the key is not known), and the pacing is as it was.
 */
#define PAWL_PACING_EXPECTED 128
bool pawl_pacing_has_value(pawl_pacing *pacing, const char *key, const char *text,
                           char expected[PAWL_PACING_EXPECTED]);

/* A time window taken apart: minutes of the day, `to` up to 1440, and the name of a time zone ("UTC" when none is given;
 * only the server knows whether there is such a zone). */
typedef struct pawl_window
{
    int from;
    int to;
    const char *zone; /* points into the text */
} pawl_window;

bool pawl_window_can_read(const char *text, pawl_window *out);

/* True when the minute of the day is in the window, which may go over midnight. */
bool pawl_window_is_open(const pawl_window *window, int minute);

#endif
