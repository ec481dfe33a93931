#include "support/process.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "util/clock.h"

#include "util/banned.h"

extern char **environ;

enum
{
    STOP_MS = 120000 /* for a program to come to a failpoint */
};

struct pawl_test_process
{
    pid_t pid;
    int out_fd;
    int err_fd;
};

void
pawl_test_sleep_ms(int ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long) (ms % 1000) * 1000000};

    while (nanosleep(&t, &t) != 0 && errno == EINTR)
        ;
}

pid_t
pawl_test_spawn(const char *const *argv, const char *log)
{
    pid_t pid = fork();

    if (pid != 0)
        return pid;

    int null_fd = open("/dev/null", O_RDONLY);
    int log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (null_fd < 0 || log_fd < 0 || dup2(null_fd, 0) < 0 || dup2(log_fd, 1) < 0 || dup2(log_fd, 2) < 0)
        _exit(126);
    /* A Ctrl-C on the test is for the test: it ends the server itself. */
    (void) setpgid(0, 0);
    execvp(argv[0], (char *const *) (uintptr_t) argv);
    _exit(127);
}

bool
pawl_test_has_ended(pid_t pid, int timeout_ms, int *status)
{
    int64_t deadline_us = pawl_clock_us() + (int64_t) timeout_ms * 1000;

    for (;;)
    {
        pid_t got = waitpid(pid, status, WNOHANG);

        if (got == pid || (got < 0 && errno == ECHILD))
            return true;
        if (pawl_clock_us() >= deadline_us)
            return false;
        pawl_test_sleep_ms(5);
    }
}

bool
pawl_test_has_stopped(pid_t pid)
{
    int64_t until_us = pawl_clock_us() + INT64_C(1000) * STOP_MS;

    while (pawl_clock_us() < until_us)
    {
        siginfo_t info = {.si_pid = 0};

        if (waitid(P_PID, (id_t) pid, &info, WEXITED | WSTOPPED | WNOHANG | WNOWAIT) == 0 &&
            info.si_pid == pid)
            return info.si_code == CLD_STOPPED;
        pawl_test_sleep_ms(2);
    }
    return false;
}

int
pawl_test_spawn_wait(const char *const *argv, const char *log)
{
    int status = 0;
    pid_t pid = pawl_test_spawn(argv, log);

    if (pid < 0)
        return 127;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void
pawl_test_kill(pid_t pid, int signal_number)
{
    /* 0 and -1 are not a process but many, and we are one of them. */
    if (pid <= 0)
        fail_msg("there is no process %d to be signalled", (int) pid);
    if (kill(pid, signal_number) != 0 && errno != ESRCH)
        fail_msg("cannot signal process %d: %s", (int) pid, strerror(errno));
}

/* A file without a name: read back while and after the program writes to it. */
static int
scratch_file(void)
{
    char path[] = "/tmp/pawl-out.XXXXXX";
    int fd = mkstemp(path);

    if (fd < 0)
        fail_msg("cannot create a scratch file: %s", strerror(errno));
    (void) unlink(path);
    (void) fcntl(fd, F_SETFD, FD_CLOEXEC);
    return fd;
}

static char *
read_whole(int fd)
{
    struct stat info;
    char *text;
    ssize_t length;

    if (fstat(fd, &info) != 0)
        fail_msg("cannot look at a scratch file: %s", strerror(errno));
    text = calloc(1, (size_t) info.st_size + 1);
    if (text == NULL)
        fail_msg("out of memory");
    length = pread(fd, text, (size_t) info.st_size, 0);
    text[length > 0 ? length : 0] = '\0';
    return text;
}

static bool
is_private_to_us(const char *variable)
{
    return strncmp(variable, "PG", 2) == 0 || strncmp(variable, "PAWL_", 5) == 0;
}

static const char **
environment_with(const char *const *env)
{
    size_t n = 0;
    const char **all;

    for (char **e = environ; *e != NULL; e++)
        n++;
    for (const char *const *e = env; e != NULL && *e != NULL; e++)
        n++;
    all = calloc(n + 1, sizeof *all);
    if (all == NULL)
        fail_msg("out of memory");
    n = 0;
    for (char **e = environ; *e != NULL; e++)
    {
        if (!is_private_to_us(*e))
            all[n++] = *e;
    }
    for (const char *const *e = env; e != NULL && *e != NULL; e++)
        all[n++] = *e;
    return all;
}

static const char **
arguments_with(const char *program, const char *const *args)
{
    size_t n = 0;
    const char **all;

    while (args[n] != NULL)
        n++;
    all = calloc(n + 2, sizeof *all);
    if (all == NULL)
        fail_msg("out of memory");
    all[0] = program;
    memcpy(all + 1, args, n * sizeof *args);
    return all;
}

static void
become(const char *program, const char **argv, const char **envp, const char *dir, const pawl_test_process *p)
{
    int null_fd = open("/dev/null", O_RDONLY);

    if (null_fd < 0 || dup2(null_fd, 0) < 0 || dup2(p->out_fd, 1) < 0 || dup2(p->err_fd, 2) < 0 ||
        (dir != NULL && chdir(dir) != 0))
        _exit(126);
    execve(program, (char *const *) (uintptr_t) argv, (char *const *) (uintptr_t) envp);
    _exit(127);
}

pawl_test_process *
pawl_test_start(const char *const *args, const char *const *env, const char *dir)
{
    const char *program = getenv("PAWL_BIN");
    pawl_test_process *p = calloc(1, sizeof *p);
    const char **argv;
    const char **envp;

    if (program == NULL)
        fail_msg("PAWL_BIN does not name the pawl program");
    if (p == NULL)
        fail_msg("out of memory");
    argv = arguments_with(program, args);
    envp = environment_with(env);
    p->out_fd = scratch_file();
    p->err_fd = scratch_file();
    p->pid = fork();
    if (p->pid == 0)
        become(program, argv, envp, dir, p);
    free(argv);
    free(envp);
    if (p->pid < 0)
        fail_msg("cannot start %s: %s", program, strerror(errno));
    return p;
}

pid_t
pawl_test_process_pid(const pawl_test_process *process)
{
    return process->pid;
}

void
pawl_test_wait_stopped(const pawl_test_process *process)
{
    int64_t until_us = pawl_clock_us() + INT64_C(30000000);

    while (pawl_clock_us() < until_us)
    {
        siginfo_t info = {0};

        if (waitid(P_PID, (id_t) process->pid, &info, WSTOPPED | WNOHANG) == 0 && info.si_pid == process->pid)
            return;
        pawl_test_sleep_ms(5);
    }
    fail_msg("process %d was not stopped", (int) process->pid);
}

char *
pawl_test_process_out(pawl_test_process *process)
{
    return read_whole(process->out_fd);
}

pawl_test_output
pawl_test_wait(pawl_test_process *process, int timeout_ms)
{
    pawl_test_output output = {.exit_code = -1};
    int status = 0;
    bool has_ended = pawl_test_has_ended(process->pid, timeout_ms, &status);

    if (!has_ended)
    {
        (void) kill(process->pid, SIGKILL);
        (void) waitpid(process->pid, &status, 0);
    }
    output.out = read_whole(process->out_fd);
    output.err = read_whole(process->err_fd);
    if (!has_ended)
        fail_msg("the program did not end within %d ms\nstdout: %s\nstderr: %s", timeout_ms, output.out,
                 output.err);
    if (WIFEXITED(status))
        output.exit_code = WEXITSTATUS(status);
    else
        output.signal_number = WTERMSIG(status);
    (void) close(process->out_fd);
    (void) close(process->err_fd);
    free(process);
    return output;
}

pawl_test_output
pawl_test_run(const char *const *args, const char *const *env, const char *dir)
{
    return pawl_test_wait(pawl_test_start(args, env, dir), 120000);
}

void
pawl_test_output_free(pawl_test_output *output)
{
    free(output->out);
    free(output->err);
    output->out = NULL;
    output->err = NULL;
}
