#include "util/failpoint.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "util/banned.h"

#define MAX_POINTS 16

enum action
{
    ACTION_KILL,
    ACTION_STOP,
    ACTION_SLEEP, /* the argument is milliseconds */
    ACTION_EXIT,  /* the argument is the exit code */
    ACTION_GATE,
};

struct point
{
    char name[64];
    enum action action;
    long argument;
    long at; /* the passage that acts, from 1; 0: each */
    atomic_long passed;
    atomic_bool is_open; /* of a gate */
};

/* Written once under `parsed`, then read only, but for the counters. */
static struct point points[MAX_POINTS];
static size_t point_count;
static pthread_once_t parsed = PTHREAD_ONCE_INIT;
static const char *armed;

/*
 * A test that names a failpoint wrongly would pass for the wrong reason, so a specification that cannot be read ends
 * the process.
 */
static void
demand(bool fine)
{
    if (!fine)
        abort();
}

static long
parse_number(const char **cursor)
{
    char *end = NULL;
    long value = strtol(*cursor, &end, 10);

    demand(end != *cursor && value >= 0);
    *cursor = end;
    return value;
}

/* name=action[:argument][@passage]; returns where it ends. */
static const char *
parse_point(const char *text, struct point *p)
{
    static const char *const words[] = {[ACTION_KILL] = "kill",
                                        [ACTION_STOP] = "stop",
                                        [ACTION_SLEEP] = "sleep",
                                        [ACTION_EXIT] = "exit",
                                        [ACTION_GATE] = "gate"};
    size_t length = strcspn(text, "=;");
    size_t action = 0;

    demand(text[length] == '=' && length > 0 && length < sizeof p->name);
    memcpy(p->name, text, length);
    text += length + 1;

    length = strcspn(text, ":@;");
    while (action < sizeof words / sizeof *words &&
           (strlen(words[action]) != length || strncmp(words[action], text, length) != 0))
        action++;
    demand(action < sizeof words / sizeof *words);
    p->action = (enum action) action;
    p->at = p->action == ACTION_SLEEP || p->action == ACTION_GATE ? 0 : 1;
    text += length;

    if (*text == ':')
    {
        text++;
        p->argument = parse_number(&text);
    }
    if (*text == '@')
    {
        text++;
        p->at = parse_number(&text);
    }
    demand(*text == '\0' || *text == ';');
    return text;
}

static void
parse_environment(void)
{
    const char *text = armed;

    if (text == NULL)
        text = getenv("PAWL_FAILPOINT"); /* NOLINT(concurrency-mt-unsafe): nothing here calls setenv */
    if (text == NULL)
        return;

    while (*text != '\0')
    {
        demand(point_count < MAX_POINTS);
        text = parse_point(text, &points[point_count]);
        point_count++;
        if (*text == ';')
            text++;
    }
}

static void
wait_in_gate(const struct point *p)
{
    const struct timespec look = {.tv_nsec = 2000000};

    while (!atomic_load(&p->is_open))
        (void) nanosleep(&look, NULL);
}

static void
act(const struct point *p)
{
    struct timespec left = {.tv_sec = p->argument / 1000, .tv_nsec = p->argument % 1000 * 1000000};

    switch (p->action)
    {
        case ACTION_KILL:
            (void) raise(
                SIGKILL); /* to this thread: one to the process may meet another, and this one goes on a while */
            break;
        case ACTION_STOP:
            (void) raise(SIGSTOP);
            break;
        case ACTION_SLEEP:
            while (nanosleep(&left, &left) != 0)
                continue;
            break;
        case ACTION_EXIT:
            _exit((int) p->argument);
        case ACTION_GATE:
            wait_in_gate(p);
            break;
    }
}

void
pawl_failpoint_arm(const char *specification)
{
    armed = specification;
}

void
pawl_failpoint_pass(const char *name)
{
    if (pthread_once(&parsed, parse_environment) != 0)
        return;

    for (size_t i = 0; i < point_count; i++)
    {
        struct point *p = &points[i];
        long passage;

        if (strcmp(p->name, name) != 0)
            continue;
        passage = atomic_fetch_add(&p->passed, 1) + 1;
        if (p->at == 0 || p->at == passage)
            act(p);
    }
}

/* Of the test's own making, so that a name that is not armed is a mistake. */
static struct point *
find_point(const char *name)
{
    demand(pthread_once(&parsed, parse_environment) == 0);
    for (size_t i = 0; i < point_count; i++)
        if (strcmp(points[i].name, name) == 0)
            return &points[i];
    demand(false);
    return NULL;
}

void
pawl_failpoint_open(const char *name, bool is_open)
{
    atomic_store(&find_point(name)->is_open, is_open);
}

int64_t
pawl_failpoint_reached(const char *name)
{
    return atomic_load(&find_point(name)->passed);
}
