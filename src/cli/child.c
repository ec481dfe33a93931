#include "cli/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/fail.h"
#include "cli/render.h"
#include "cli/wait.h"

#define TICK_MS     200
#define KILL_MS     10000 /* a child that was asked to end has so long */
#define LONGEST_OUT ((size_t) 64 << 20)

extern char **environ;

enum
{
    CHILD_OUT,
    CHILD_ERR,
    CHILD_PIPES
};

/* A child that runs. */
typedef struct running
{
    const pawl_cli_child *child;
    pid_t pid;
    int fds[CHILD_PIPES]; /* what we read; -1: closed */
    pawl_cli_buf line;    /* of standard error, not yet whole */
    int64_t asked_ms;     /* when it was asked to end; 0: it was not */
    bool is_killed;
} running;

static pawl_status
fail_errno(pawl_error *err, const char *what, const char *name)
{
    char reason[128] = "unknown error";

    (void) strerror_r(errno, reason, sizeof reason);
    return pawl_cli_fail(err, PAWL_E_IO, "cannot %s %s: %s", what, name, reason);
}

/* ---- environment ----------------------------------------------------------------------------------------------- */

static bool
is_replaced(const pawl_cli_child *child, const char *entry)
{
    size_t length = strcspn(entry, "=");

    for (size_t i = 0; i < child->nenvironment; i++)
    {
        const char *key = child->environment[i].key;

        if (strlen(key) == length && strncmp(key, entry, length) == 0)
            return true;
    }
    return false;
}

static void
free_environment(char **list, size_t own_from)
{
    for (size_t i = own_from; list != NULL && list[i] != NULL; i++)
        free(list[i]);
    free(list);
}

/* Entries from *own_from on are ours to free, those before belong to our environment. NULL when memory ran out. */
static char **
make_environment(const pawl_cli_child *child, size_t *own_from)
{
    size_t count = 0;
    size_t n = 0;
    char **list;

    while (environ[count] != NULL)
        count++;
    list = calloc(count + child->nenvironment + 1, sizeof *list);
    if (list == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++)
        if (!is_replaced(child, environ[i]))
            list[n++] = environ[i];
    *own_from = n;
    for (size_t i = 0; i < child->nenvironment; i++)
    {
        const pawl_key_value *v = &child->environment[i];
        PAWL_CLI_BUF entry = {0};

        if (v->value == NULL)
            continue;
        pawl_cli_addf(&entry, "%s=%s", v->key, v->value);
        if (entry.has_failed)
        {
            free_environment(list, *own_from);
            return NULL;
        }
        list[n++] = entry.data;
        entry = (pawl_cli_buf){0};
    }
    return list;
}

/* ---- starting -------------------------------------------------------------------------------------------------- */

static void
close_fd(int *fd)
{
    if (*fd >= 0)
        (void) close(*fd);
    *fd = -1;
}

/* Close-on-exec, so that no other child holds our end open. */
static int
open_pipe(int ends[2])
{
    int rc = pipe(ends);

    for (int i = 0; rc == 0 && i < 2; i++)
        rc = fcntl(ends[i], F_SETFD, FD_CLOEXEC) == -1 ? -1 : 0;
    return rc;
}

/* Between fork and exec only what is async-signal-safe: other threads of ours may have held any lock. */
static void
become(const pawl_cli_child *child, char *const *envp, int null_fd, int out_fd, int err_fd)
{
    struct sigaction standard = {.sa_handler = SIG_DFL};
    sigset_t none;

    (void) setpgid(0, 0);
    (void) sigemptyset(&none);
    (void) sigemptyset(&standard.sa_mask);
    (void) sigaction(SIGPIPE, &standard, NULL);
    (void) sigprocmask(SIG_SETMASK, &none, NULL);
    if (dup2(null_fd, 0) != -1 && dup2(out_fd, 1) != -1 && dup2(err_fd, 2) != -1)
        (void) execve(child->argv[0], (char *const *) (uintptr_t) child->argv, envp);
    _exit(127);
}

static pawl_status
start(running *r, pawl_error *err)
{
    int out[2] = {-1, -1};
    int say[2] = {-1, -1};
    int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    size_t own_from = 0;
    char **envp = make_environment(r->child, &own_from);
    pawl_status st = envp == NULL ? pawl_cli_nomem(err) : PAWL_OK;

    if (st == PAWL_OK && (null_fd == -1 || open_pipe(out) == -1 || open_pipe(say) == -1))
        st = fail_errno(err, "open a pipe for", r->child->argv[0]);
    if (st == PAWL_OK)
    {
        r->pid = fork();
        if (r->pid == 0)
            become(r->child, envp, null_fd, out[1], say[1]);
        if (r->pid == -1)
            st = fail_errno(err, "start", r->child->argv[0]);
        else
            (void) setpgid(r->pid, r->pid); /* whoever comes first */
    }
    if (st == PAWL_OK)
    {
        r->fds[CHILD_OUT] = out[0];
        r->fds[CHILD_ERR] = say[0];
        out[0] = say[0] = -1;
    }
    close_fd(&out[0]);
    close_fd(&out[1]);
    close_fd(&say[0]);
    close_fd(&say[1]);
    close_fd(&null_fd);
    free_environment(envp, own_from);
    return st;
}

/* ---- listening ------------------------------------------------------------------------------------------------- */

static void
take_lines(running *r, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
    {
        if (bytes[i] != '\n' && bytes[i] != '\0')
        {
            pawl_cli_add_bytes(&r->line, &bytes[i], 1);
            continue;
        }
        if (r->child->on_line != NULL)
            r->child->on_line(r->child->ctx, pawl_cli_buf_text(&r->line));
        pawl_cli_buf_reset(&r->line);
    }
}

static void
take(running *r, int which)
{
    char bytes[8192];
    ssize_t n = read(r->fds[which], bytes, sizeof bytes);

    if (n == -1 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0)
    {
        close_fd(&r->fds[which]);
        return;
    }
    if (which == CHILD_ERR)
        take_lines(r, bytes, (size_t) n);
    else if (r->child->out != NULL && r->child->out->length < LONGEST_OUT)
        pawl_cli_add_bytes(r->child->out, bytes, (size_t) n);
}

/* The child alone is asked, and ends its own workers; what is left of its group is killed when that takes too long. */
static void
mind_the_stop(running *r)
{
    int64_t now_ms = pawl_cli_now_ms();

    if (r->asked_ms == 0 && pawl_stop_level_of(r->child->stop) != PAWL_STOP_NONE)
    {
        r->asked_ms = now_ms;
        (void) kill(r->pid, SIGTERM);
    }
    if (r->asked_ms != 0 && !r->is_killed && now_ms - r->asked_ms > KILL_MS)
    {
        r->is_killed = true;
        (void) kill(-r->pid, SIGKILL);
    }
}

static void
listen_to(running *r)
{
    while (r->fds[CHILD_OUT] >= 0 || r->fds[CHILD_ERR] >= 0)
    {
        bool is_ready[CHILD_PIPES];

        pawl_cli_wait(r->fds, is_ready, CHILD_PIPES, TICK_MS);
        for (int i = 0; i < CHILD_PIPES; i++)
            if (is_ready[i])
                take(r, i);
        mind_the_stop(r);
        if (r->child->on_tick != NULL)
            r->child->on_tick(r->child->ctx);
    }
}

pawl_status
pawl_cli_child_run(const pawl_cli_child *child, int *exit_code, pawl_error *err)
{
    running r = {.child = child, .fds = {-1, -1}};
    int status = 0;
    pid_t ended;
    pawl_status st = start(&r, err);

    if (st != PAWL_OK)
        return st;
    listen_to(&r);
    do
    {
        ended = waitpid(r.pid, &status, 0);
    } while (ended == -1 && errno == EINTR);
    pawl_cli_buf_free(&r.line);
    if (r.asked_ms != 0)
        return pawl_cli_fail(err, PAWL_E_STOPPED, "stopped on request");
    if (ended == -1)
        return fail_errno(err, "wait for", child->argv[0]);
    *exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return PAWL_OK;
}
