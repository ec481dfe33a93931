/*
 * A backfill through libpawl, without revisions: products.price_cents from products.price, in SQL.
 *
 *   backfill 'host=/run/postgresql dbname=shop'
 *
 * Run it again after a crash, a kill or Ctrl-C: the job is found by its name and carried on.
 */
#include <inttypes.h>
#include <pawl/pawl.h>
#include <signal.h>
#include <stdio.h>

static pawl_stop *stop;

static void
on_interrupt(int signal_number)
{
    (void) signal_number;
    pawl_stop_request(stop); /* once: end after the batch in flight; twice: cancel it */
}

static void
show(void *ctx, const pawl_event *event)
{
    (void) ctx;
    if (event->kind == PAWL_EVENT_PROGRESS)
        fprintf(stderr, "%" PRId64 " rows, %.0f/s\n", event->progress->rows_read,
                event->progress->rows_per_s);
    else if (event->kind == PAWL_EVENT_WARNING)
        fprintf(stderr, "warning: %s\n", event->text);
}

int
main(int argc, char **argv)
{
    const pawl_set_expression set[] = {{.column = "price_cents", .expression = "(price * 100)::bigint"}};
    pawl_backfill_result result = {0};
    pawl_error err = PAWL_ERROR_INIT;

    if (pawl_stop_new(&stop, &err) != PAWL_OK)
    {
        fprintf(stderr, "backfill: %s\n", err.message);
        return 1;
    }
    signal(SIGINT, on_interrupt);

    const pawl_backfill_options options = {
        .database = argc > 1 ? argv[1] : NULL, /* NULL: PGHOST, PGDATABASE, ... */
        .job = "price_cents",
        .table = "public.products",
        .set = set,
        .nset = sizeof set / sizeof set[0],
        .stop = stop,
        .sink = {.emit = show},
    };
    pawl_status status = pawl_backfill(&options, &result, &err);

    pawl_stop_free(stop);
    if (status != PAWL_OK)
    {
        fprintf(stderr, "backfill: %s\n%s\n%s\n", err.message, err.detail, err.hint);
        return status == PAWL_E_STOPPED ? 3 : 1;
    }
    printf("%" PRId64 " rows written%s\n", result.progress.rows_written,
           result.was_done      ? ", all by an earlier run"
           : result.was_resumed ? ", some by an earlier run"
                                : "");
    return 0;
}
