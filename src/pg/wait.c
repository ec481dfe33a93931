#include "pg/wait.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>

#include "util/clock.h"

#include "util/banned.h"

/* How long a cancelled statement may take to answer, and how often it is asked: a cancel that arrives before the
 * statement has begun is lost. */
#define CANCEL_PATIENCE_US INT64_C(5000000)
#define CANCEL_REPEAT_US   INT64_C(500000)

static int
poll_timeout_ms(int64_t deadline_us)
{
    int64_t left_us;

    if (deadline_us == 0)
        return -1;
    left_us = deadline_us - pawl_clock_us();
    if (left_us <= 0)
        return 0;
    return left_us / 1000 >= INT_MAX ? INT_MAX : (int) (left_us / 1000) + 1;
}

pawl_wake
pawl_wait_socket(int fd, bool wants_write, int stop_fd, int64_t deadline_us)
{
    struct pollfd fds[2] = {
        {.fd = fd, .events = (short) (wants_write ? POLLIN | POLLOUT : POLLIN)},
        {.fd = stop_fd, .events = POLLIN}, /* poll ignores negative descriptors */
    };

    if (fd < 0)
        return PAWL_WAKE_FAULT;
    for (;;)
    {
        int n = poll(fds, 2, poll_timeout_ms(deadline_us));

        if (n < 0 && errno != EINTR)
            return PAWL_WAKE_FAULT;
        if (n > 0 && fds[1].revents != 0)
            return PAWL_WAKE_STOP;
        if (n > 0)
            return PAWL_WAKE_READY;
        if (deadline_us != 0 && pawl_clock_us() >= deadline_us)
            return PAWL_WAKE_DEADLINE;
    }
}

/* The next moment at which a wait has to look up: the deadline, or the next cancel of a statement that was stopped. */
static int64_t
next_look_us(const pawl_pg *pg, int64_t next_cancel_us)
{
    if (pg->cancelled_us == 0)
        return pg->deadline_us;
    if (pg->deadline_us != 0 && pg->deadline_us < next_cancel_us)
        return pg->deadline_us;
    return next_cancel_us;
}

static pawl_status
give_up(pawl_pg *pg, pawl_error *err)
{
    pg->is_abandoned = true;
    if (pg->cancelled_us != 0)
    {
        pawl_error_set(err, PAWL_E_STOPPED, "stopped on request; the server did not confirm it within %d s",
                       (int) (CANCEL_PATIENCE_US / 1000000));
        return pawl_error_detail(err, "connection: %s", pg->target.data);
    }
    pawl_error_set(err, PAWL_E_CONNECT, "no answer in time from %s", pg->target.data);
    return pawl_error_hint(err,
                           "look at the server's load and at what the session waits for in pg_stat_activity");
}

/* Wait once. *is_over is set when nothing more will come over this socket. */
static pawl_status
wait_once(pawl_pg *pg, bool wants_write, int64_t *next_cancel_us, bool *is_over, pawl_error *err)
{
    int stop_fd = pg->cancelled_us == 0 ? pawl_stop_fd(pg->stop, PAWL_STOP_CANCEL) : -1;
    int64_t now_us;

    switch (pawl_wait_socket(PQsocket(pg->conn), wants_write, stop_fd, next_look_us(pg, *next_cancel_us)))
    {
        case PAWL_WAKE_READY:
            *is_over = PQconsumeInput(pg->conn) != 1;
            return PAWL_OK;
        case PAWL_WAKE_FAULT:
            *is_over = true;
            return PAWL_OK;
        case PAWL_WAKE_STOP:
        case PAWL_WAKE_DEADLINE:
            break;
    }

    now_us = pawl_clock_us();
    if (pg->deadline_us != 0 && now_us >= pg->deadline_us)
        return give_up(pg, err);
    if (pg->cancelled_us == 0)
        pg->cancelled_us = now_us;
    if (now_us - pg->cancelled_us >= CANCEL_PATIENCE_US)
        return give_up(pg, err);
    pawl_pg_cancel(pg);
    *next_cancel_us = pawl_clock_us() + CANCEL_REPEAT_US;
    return PAWL_OK;
}

pawl_status
pawl_wait_result(pawl_pg *pg, PGresult **out, pawl_error *err)
{
    int64_t next_cancel_us = pawl_clock_us() + CANCEL_REPEAT_US;
    bool is_over = false;

    while (!is_over)
    {
        pawl_status st;
        int unsent = PQflush(pg->conn);

        if (unsent <= 0 && PQisBusy(pg->conn) == 0)
            break;
        /* A failed flush (-1) still lets us read why the server closed. */
        st = wait_once(pg, unsent == 1, &next_cancel_us, &is_over, err);
        if (st != PAWL_OK)
            return st;
    }
    /* Never blocks: either a result is there, or the socket is closed and libpq makes one of that. */
    *out = PQgetResult(pg->conn);
    return PAWL_OK;
}

pawl_status
pawl_wait_flush(pawl_pg *pg, pawl_error *err)
{
    int64_t next_cancel_us = pawl_clock_us() + CANCEL_REPEAT_US;
    bool is_over = false;

    while (!is_over && PQflush(pg->conn) == 1)
    {
        pawl_status st = wait_once(pg, true, &next_cancel_us, &is_over, err);

        if (st != PAWL_OK)
            return st;
    }
    return PAWL_OK;
}

pawl_status
pawl_wait_copy_row(pawl_pg *pg, char **row, int *length, pawl_error *err)
{
    int64_t next_cancel_us = 0; /* the clock is not asked for a row that is there already */
    bool is_over = false;

    for (;;)
    {
        int n = PQgetCopyData(pg->conn, row, 1);
        pawl_status st;

        if (n > 0)
        {
            *length = n;
            return PAWL_OK;
        }
        *row = NULL;
        /* -1: it has ended, -2: it has failed; either way the result tells. */
        if (n < 0 || is_over)
            return PAWL_OK;
        if (next_cancel_us == 0)
            next_cancel_us = pawl_clock_us() + CANCEL_REPEAT_US;
        st = wait_once(pg, PQflush(pg->conn) == 1, &next_cancel_us, &is_over, err);
        if (st != PAWL_OK)
            return st;
    }
}
