#include "cli/wait.h"

#include <assert.h>
#include <poll.h>

void
pawl_cli_wait(const int *fds, bool *is_ready, size_t count, int ms)
{
    struct pollfd polled[PAWL_CLI_WAIT_MOST];
    int n;

    assert(count <= PAWL_CLI_WAIT_MOST);
    for (size_t i = 0; i < count; i++)
        polled[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    n = poll(polled, (nfds_t) count, ms);
    for (size_t i = 0; i < count; i++)
        is_ready[i] = n > 0 && polled[i].revents != 0;
}
