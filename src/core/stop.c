#include "core/stop.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>
#include <unistd.h>

#include "util/alloc.h"
#include "util/clock.h"
#include "util/file.h"

#include "util/banned.h"

#define LEVELS 2

/*
 * One pipe a level. Nobody reads them: once a byte is in, every waiter sees it, and goes on seeing it.
 */
struct pawl_stop
{
    atomic_int level; /* only ever raised */
    int pipes[LEVELS][2];
};

static int
make_pipe(int fds[2])
{
    int made[2];

    if (pipe(made) != 0)
        return errno;

    for (size_t i = 0; i < 2; i++)
    {
        if (fcntl(made[i], F_SETFD, FD_CLOEXEC) == -1 || fcntl(made[i], F_SETFL, O_NONBLOCK) == -1)
        {
            int saved = errno;

            (void) close(made[0]);
            (void) close(made[1]);
            return saved;
        }
    }
    fds[0] = made[0];
    fds[1] = made[1];
    return 0;
}

pawl_status
pawl_stop_new(pawl_stop **out, pawl_error *err)
{
    pawl_stop *stop = pawl_calloc(1, sizeof *stop);

    if (stop == NULL)
        return pawl_error_nomem(err, "a stop");

    atomic_init(&stop->level, PAWL_STOP_NONE);
    for (size_t i = 0; i < LEVELS; i++)
        stop->pipes[i][0] = stop->pipes[i][1] = -1;
    for (size_t i = 0; i < LEVELS; i++)
    {
        int rc = make_pipe(stop->pipes[i]);
        char reason[128];

        if (rc == 0)
            continue;
        pawl_stop_free(stop);
        pawl_file_strerror(rc, reason, sizeof reason);
        (void) pawl_error_set(err, PAWL_E_IO, "cannot create the pipe of a stop: %s", reason);
        return pawl_error_hint(err, "raise the limit on open files (ulimit -n)");
    }

    *out = stop;
    return PAWL_OK;
}

void
pawl_stop_free(pawl_stop *stop)
{
    if (stop == NULL)
        return;

    for (size_t i = 0; i < LEVELS; i++)
    {
        for (size_t end = 0; end < 2; end++)
        {
            if (stop->pipes[i][end] >= 0)
                (void) close(stop->pipes[i][end]);
        }
    }
    pawl_free(stop);
}

void
pawl_stop_request(pawl_stop *stop)
{
    int saved = errno;
    int level = atomic_load(&stop->level);
    ssize_t written;

    while (level < LEVELS && !atomic_compare_exchange_weak(&stop->level, &level, level + 1))
        continue;

    /* The one byte that each pipe ever gets always fits. */
    if (level < LEVELS)
    {
        written = write(stop->pipes[level][1], "", 1);
        (void) written;
    }
    errno = saved;
}

pawl_stop_level
pawl_stop_level_of(const pawl_stop *stop)
{
    return stop == NULL ? PAWL_STOP_NONE : (pawl_stop_level) atomic_load(&stop->level);
}

int
pawl_stop_fd(const pawl_stop *stop, pawl_stop_level level)
{
    if (stop == NULL || level == PAWL_STOP_NONE)
        return -1;

    return stop->pipes[level - 1][0];
}

pawl_status
pawl_stop_check(const pawl_stop *stop, pawl_stop_level level, pawl_error *err)
{
    if (level == PAWL_STOP_NONE || pawl_stop_level_of(stop) < level)
        return PAWL_OK;

    return pawl_error_set(err, PAWL_E_STOPPED, "stopped on request");
}

pawl_status
pawl_stop_sleep(const pawl_stop *stop, pawl_stop_level level, int64_t ms, pawl_error *err)
{
    /* poll ignores an entry with a negative descriptor, so a NULL stop simply sleeps. */
    struct pollfd watched = {.fd = pawl_stop_fd(stop, level), .events = POLLIN};
    int64_t start = pawl_clock_us();
    int64_t left_ms = ms;
    pawl_status st;

    for (;;)
    {
        st = pawl_stop_check(stop, level, err);
        if (st != PAWL_OK || left_ms <= 0)
            return st;

        /* What poll says does not matter: an interrupted wait is taken up again with the time that is left. */
        (void) poll(&watched, 1, left_ms > INT_MAX ? INT_MAX : (int) left_ms);
        left_ms = ms - (pawl_clock_us() - start) / 1000;
    }
}
