#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "util/clock.h"
#include "util/failpoint.h"

#include "util/banned.h"

extern char **environ;

/*
 * Pass "here" up to `passages` times in a child whose environment is `setting` alone; the exit status is the number
 * of passages it survived. Each child reads its environment afresh.
 */
static int
status_of_child(char *setting, int passages)
{
    char *environment[] = {setting, NULL};
    int status = 0;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0)
    {
        environ = environment;
        for (int i = 0; i < passages; i++)
        {
            pawl_failpoint_pass("elsewhere");
            pawl_failpoint_pass("here");
        }
        _exit(passages);
    }
    while (waitpid(child, &status, WUNTRACED) < 0)
        assert_int_equal(errno, EINTR);
    if (WIFSTOPPED(status))
    {
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, NULL, 0), child);
    }
    return status;
}

static void
kill_acts_at_the_named_passage_and_not_before(void **state)
{
    char setting[] = "PAWL_FAILPOINT=here=kill@3";
    int status;

    (void) state;
    status = status_of_child(setting, 2);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 2);

    status = status_of_child(setting, 3);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
}

static void
kill_without_a_number_acts_at_once(void **state)
{
    char setting[] = "PAWL_FAILPOINT=here=kill";
    int status = status_of_child(setting, 1);

    (void) state;
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
}

static void
exit_ends_with_its_code_and_several_points_may_be_named(void **state)
{
    char setting[] = "PAWL_FAILPOINT=other=kill@1;here=exit:77@2";
    int status = status_of_child(setting, 5);

    (void) state;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 77);
}

static void
stop_raises_sigstop(void **state)
{
    char setting[] = "PAWL_FAILPOINT=here=stop@2";
    int status = status_of_child(setting, 2);

    (void) state;
    assert_true(WIFSTOPPED(status));
    assert_int_equal(WSTOPSIG(status), SIGSTOP);
}

static void
sleep_waits_at_each_passage(void **state)
{
    char setting[] = "PAWL_FAILPOINT=here=sleep:8";
    int64_t start = pawl_clock_us();
    int status = status_of_child(setting, 3);

    (void) state;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 3);
    assert_true(pawl_clock_us() - start >= 24000);
}

static void *
pass_the_gate(void *unused)
{
    pawl_failpoint_pass("gate");
    return unused;
}

static void
a_gate_holds_until_it_is_opened(void **state)
{
    pthread_t thread;

    (void) state;
    pawl_failpoint_arm("gate=gate");
    assert_int_equal(pawl_failpoint_reached("gate"), 0);
    assert_int_equal(pthread_create(&thread, NULL, pass_the_gate, NULL), 0);
    while (pawl_failpoint_reached("gate") == 0)
        continue;
    pawl_failpoint_open("gate", true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    pawl_failpoint_pass("gate");
    assert_int_equal(pawl_failpoint_reached("gate"), 2);
}

static void
without_the_variable_nothing_happens(void **state)
{
    char setting[] = "PAWL_OTHER=here=kill";
    int status = status_of_child(setting, 4);

    (void) state;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 4);
}

static void
setting_that_cannot_be_read_aborts(void **state)
{
    char settings[][48] = {
        "PAWL_FAILPOINT=here",        "PAWL_FAILPOINT=here=kil",     "PAWL_FAILPOINT=here=kill@",
        "PAWL_FAILPOINT=here=kill@x", "PAWL_FAILPOINT=here=kill@1x", "PAWL_FAILPOINT==kill",
    };

    (void) state;
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
    {
        int status = status_of_child(settings[i], 1);

        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGABRT);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kill_acts_at_the_named_passage_and_not_before),
        cmocka_unit_test(kill_without_a_number_acts_at_once),
        cmocka_unit_test(exit_ends_with_its_code_and_several_points_may_be_named),
        cmocka_unit_test(stop_raises_sigstop),
        cmocka_unit_test(sleep_waits_at_each_passage),
        cmocka_unit_test(without_the_variable_nothing_happens),
        cmocka_unit_test(setting_that_cannot_be_read_aborts),
        cmocka_unit_test(a_gate_holds_until_it_is_opened), /* the last: the variable is read once */
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
