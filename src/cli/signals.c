#include "cli/signals.h"

#include <string.h>
#include <time.h>

#include "cli/fail.h"

void
pawl_cli_signals_ignore_pipe(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};

    (void) sigemptyset(&ignore.sa_mask);
    (void) sigaction(SIGPIPE, &ignore, NULL);
}

/* Raise the stop, and say what that means. */
static void
request(pawl_cli_signals *s, int nth)
{
    const char *text;

    if (s->stopping == PAWL_CLI_STOP_FINISHES)
    {
        pawl_stop_request(s->stop);
        text = nth == 1   ? "pawl: finishing the batch in flight; once more cancels it"
               : nth == 2 ? "pawl: cancelling"
                          : "pawl: already cancelling; what is committed stays, whatever ends this process";
    }
    else
    {
        pawl_stop_request(s->stop);
        pawl_stop_request(s->stop);
        text = NULL;
    }
    if (text != NULL && s->screen != NULL)
        pawl_cli_screen_line(s->screen, text);

    (void) pthread_mutex_lock(&s->lock);
    s->is_requested = true;
    (void) pthread_cond_broadcast(&s->requested);
    (void) pthread_mutex_unlock(&s->lock);
}

static void *
take_signals(void *arg)
{
    pawl_cli_signals *s = arg;
    int nth = 0;

    for (;;)
    {
        int signal_number = 0;
        int rc = sigwait(&s->set, &signal_number);

        if (atomic_load(&s->is_over))
            return NULL;
        if (rc == 0)
            request(s, ++nth);
    }
}

static void
init_wait(pawl_cli_signals *s)
{
    pthread_condattr_t attributes;

    /* A clock that is set back must not make a wait longer. */
    (void) pthread_condattr_init(&attributes);
    (void) pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void) pthread_mutex_init(&s->lock, NULL);
    (void) pthread_cond_init(&s->requested, &attributes);
    (void) pthread_condattr_destroy(&attributes);
}

pawl_status
pawl_cli_signals_start(pawl_cli_signals *s, pawl_error *err)
{
    char reason[128] = "unknown error";
    int rc;

    (void) sigemptyset(&s->set);
    (void) sigaddset(&s->set, SIGINT);
    (void) sigaddset(&s->set, SIGTERM);
    atomic_init(&s->is_over, false);
    init_wait(s);

    rc = pthread_sigmask(SIG_BLOCK, &s->set, NULL);
    if (rc == 0)
        rc = pthread_create(&s->thread, NULL, take_signals, s);
    if (rc == 0)
        return PAWL_OK;

    (void) pthread_cond_destroy(&s->requested);
    (void) pthread_mutex_destroy(&s->lock);
    (void) strerror_r(rc, reason, sizeof reason);
    return pawl_cli_fail(err, PAWL_E_NOMEM, "cannot start the thread that takes signals: %s", reason);
}

void
pawl_cli_signals_end(pawl_cli_signals *s)
{
    atomic_store(&s->is_over, true);
    (void) pthread_kill(s->thread, SIGINT); /* wakes sigwait, nothing more */
    (void) pthread_join(s->thread, NULL);
    (void) pthread_cond_destroy(&s->requested);
    (void) pthread_mutex_destroy(&s->lock);
}

bool
pawl_cli_signals_is_stopped_within(pawl_cli_signals *s, int64_t ms)
{
    struct timespec deadline = {0};
    bool is_requested;
    int rc = 0;

    (void) clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += (time_t) (ms / 1000);
    deadline.tv_nsec += (long) (ms % 1000 * 1000000);
    if (deadline.tv_nsec >= 1000000000)
    {
        deadline.tv_sec++;
        deadline.tv_nsec -= 1000000000;
    }

    (void) pthread_mutex_lock(&s->lock);
    while (!s->is_requested && rc == 0)
        rc = pthread_cond_timedwait(&s->requested, &s->lock, &deadline);
    is_requested = s->is_requested;
    (void) pthread_mutex_unlock(&s->lock);
    return is_requested;
}
