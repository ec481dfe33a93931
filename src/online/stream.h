/*
 * stream.h - rows out of a COPY, through the transform, into the bytes of another COPY.
 *
 * What the server has computed is passed through as the bytes that came; what the transform makes is appended. Rows go
 * through the transform some hundred at a time.
 *
 *   open -> (begin -> run)* -> close
 *
 * Threads: a stream belongs to one thread; it looks at the shape only.
 * Memory:  close frees; blocks given to the function live until it returns.
 */
#ifndef PAWL_ONLINE_STREAM_H
#define PAWL_ONLINE_STREAM_H

#include "backfill/spec.h"
#include "online/nulling.h"
#include "online/shape.h"

typedef struct pawl_stream pawl_stream;

typedef struct pawl_stream_counts
{
    int64_t read;
    int64_t written;
    int64_t left; /* the transform left them out */
    int64_t bytes;
} pawl_stream_counts;

/* Takes bytes of the COPY, in pieces of about PAWL_STREAM_BLOCK; they end with a row. */
typedef pawl_status (*pawl_stream_put)(void *ctx, const char *bytes, size_t length, pawl_error *err);

#define PAWL_STREAM_BLOCK ((size_t) 65536)

PAWL_NODISCARD pawl_status pawl_stream_open(const pawl_shape *shape, const pawl_backfill_env *env,
                                            int64_t now_us, pawl_stream **out, pawl_error *err);
void pawl_stream_close(pawl_stream *stream);

/*
 * From now on a row that the transform refuses is none that fails the run: rows are kept in `rows`, and not put; NULL ends it.
 * They are those of one run: reset before the next.
 */
void pawl_stream_null(pawl_stream *stream, pawl_nulling *rows);

/*
 * Run a COPY ... TO STDOUT in binary on the session and put what becomes of its rows, without the head and the trailer
 * of the format. PAWL_E_TRANSFORM names the row's key. When put fails its status is returned, and the session is in the
 * middle of a COPY: close it.
 */
PAWL_NODISCARD pawl_status pawl_stream_run(pawl_stream *stream, pawl_pg *pg, const char *sql,
                                           pawl_stream_put put, void *ctx, pawl_stream_counts *counts,
                                           pawl_error *err);

PAWL_DEFINE_AUTO(pawl_stream, pawl_stream_close);

#endif
