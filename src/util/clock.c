#include "util/clock.h"

#include <time.h>

#include "util/strbuf.h"

#include "util/banned.h"

static int64_t
read_clock(clockid_t id)
{
    struct timespec now = {0};

    /* Fails only for a clock the system does not have; both of ours are demanded by POSIX. */
    (void) clock_gettime(id, &now);
    return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t
pawl_clock_us(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t
pawl_clock_wall_us(void)
{
    return read_clock(CLOCK_REALTIME);
}

void
pawl_clock_iso(int64_t wall_us, char *out, size_t size)
{
    int64_t ms = wall_us / 1000 - (wall_us % 1000 < 0 ? 1 : 0);
    int64_t part = ms % 1000 + (ms % 1000 < 0 ? 1000 : 0);
    time_t seconds = (time_t) ((ms - part) / 1000);
    struct tm tm;

    if (gmtime_r(&seconds, &tm) == NULL)
    {
        pawl_fmt(out, size, "(no time)");
        return;
    }
    pawl_fmt(out, size, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
             tm.tm_hour, tm.tm_min, tm.tm_sec, (int) part);
}
