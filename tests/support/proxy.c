#include "support/proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/process.h"
#include "support/server.h"
#include "util/strbuf.h"

#include "util/banned.h"

#define LINKS_MAX    256
#define BUFFER_BYTES 65536

typedef struct link_pair
{
    pawl_test_proxy *proxy;
    int client;
    int server;
    bool is_cut; /* under the proxy's lock: the client is gone, the server does not know yet */
    int releases_at_cut;
    bool has_heard;     /* under the proxy's lock: an answer has gone to the client since it last spoke */
    int turns;          /* under the proxy's lock */
    char greeting[256]; /* under the proxy's lock: the first message, its zero bytes as spaces */
    char kept[64]; /* under the proxy's lock: the name under which the server keeps the awaited statement */
    pthread_t up;
    pthread_t down;
} link_pair;

struct pawl_test_proxy
{
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int listener;
    int port;
    pthread_t acceptor;
    link_pair *links[LINKS_MAX];
    int link_count;
    char awaited[128]; /* "" when nothing is awaited */
    int awaited_nth;
    pawl_test_cut how;
    int cuts;
    int releases;
    int delay_ms;
    bool is_frozen;
    bool is_stopping;
};

static void
write_whole(int fd, const char *bytes, size_t length)
{
    while (length > 0)
    {
        ssize_t n = send(fd, bytes, length, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        bytes += n;
        length -= (size_t) n;
    }
}

static const char *
find_text(const char *bytes, size_t length, const char *text)
{
    size_t n = strlen(text);

    for (size_t i = 0; n > 0 && i + n <= length; i++)
    {
        if (memcmp(bytes + i, text, n) == 0)
            return bytes + i;
    }
    return NULL;
}

/* The name that a Parse message gives the statement that `at` lies in: it stands right before it. */
static void
learn_name(link_pair *l, const char *bytes, const char *at)
{
    const char *end = at;
    const char *name;

    while (end > bytes && *end != '\0')
        end--;
    name = end > bytes ? end - 1 : end;
    while (name > bytes && *name != '\0' && strncmp(name, "pawl_", 5) != 0)
        name--;
    if (strncmp(name, "pawl_", 5) == 0)
        pawl_fmt(l->kept, sizeof l->kept, "%s", name);
}

/* The awaited text, or the use of the statement that was prepared with it. */
static bool
has_awaited(link_pair *l, const char *bytes, size_t length)
{
    const char *at = find_text(bytes, length, l->proxy->awaited);

    if (at != NULL)
        learn_name(l, bytes, at);
    return at != NULL || (l->proxy->awaited[0] != '\0' && find_text(bytes, length, l->kept) != NULL);
}

/* Under the lock. */
static void
cut(link_pair *l)
{
    if (l->is_cut)
        return;
    l->is_cut = true;
    l->releases_at_cut = l->proxy->releases;
    l->proxy->cuts++;
    (void) shutdown(l->client, SHUT_RDWR);
}

/* Returns at once for a connection that was never cut. */
static void
wait_for_release(link_pair *l)
{
    pawl_test_proxy *p = l->proxy;

    (void) pthread_mutex_lock(&p->lock);
    while (l->is_cut && p->releases == l->releases_at_cut && !p->is_stopping)
        (void) pthread_cond_wait(&p->changed, &p->lock);
    (void) pthread_mutex_unlock(&p->lock);
}

/* Under the lock. The eight bytes that ask for encryption are no greeting yet. */
static void
note_greeting(link_pair *l, const char *bytes, size_t length)
{
    if (l->greeting[0] != '\0' || length <= 8)
        return;
    for (size_t i = 0; i < length && i + 1 < sizeof l->greeting; i++)
        l->greeting[i] = bytes[i] != '\0' ? bytes[i] : ' ';
}

/* Wait out a freeze, then see whether these bytes are the awaited ones. True when they have to be kept back. */
static bool
is_to_be_kept(link_pair *l, const char *bytes, size_t length)
{
    pawl_test_proxy *p = l->proxy;
    bool is_kept = false;

    (void) pthread_mutex_lock(&p->lock);
    note_greeting(l, bytes, length);
    l->turns += l->has_heard ? 1 : 0;
    l->has_heard = false;
    while (p->is_frozen && !p->is_stopping)
        (void) pthread_cond_wait(&p->changed, &p->lock);
    if (has_awaited(l, bytes, length) && --p->awaited_nth == 0)
    {
        p->awaited[0] = '\0';
        cut(l);
        is_kept = p->how == PAWL_TEST_CUT_BEFORE;
    }
    (void) pthread_mutex_unlock(&p->lock);
    return is_kept;
}

static void *
pump_up(void *arg)
{
    link_pair *l = arg;
    char *buffer = malloc(BUFFER_BYTES);
    ssize_t n;

    while (buffer != NULL && (n = recv(l->client, buffer, BUFFER_BYTES, 0)) > 0)
    {
        if (is_to_be_kept(l, buffer, (size_t) n))
            wait_for_release(l);
        write_whole(l->server, buffer, (size_t) n);
    }
    wait_for_release(l);
    (void) shutdown(l->server, SHUT_WR);
    free(buffer);
    return NULL;
}

/* Under the lock: hold bytes back while frozen, and for the delay; a delay that is taken away ends at once. */
static void
hold_back(pawl_test_proxy *p)
{
    struct timespec until;

    (void) clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += p->delay_ms / 1000;
    until.tv_nsec += (long) (p->delay_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000)
    {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    while (p->delay_ms > 0 && !p->is_stopping &&
           pthread_cond_timedwait(&p->changed, &p->lock, &until) != ETIMEDOUT)
        ;
    while (p->is_frozen && !p->is_stopping)
        (void) pthread_cond_wait(&p->changed, &p->lock);
}

/* A client that was cut off misses the answers, but they are read: the server must not block on them. */
static void *
pump_down(void *arg)
{
    link_pair *l = arg;
    pawl_test_proxy *p = l->proxy;
    char *buffer = malloc(BUFFER_BYTES);
    ssize_t n;

    while (buffer != NULL && (n = recv(l->server, buffer, BUFFER_BYTES, 0)) > 0)
    {
        (void) pthread_mutex_lock(&p->lock);
        hold_back(p);
        bool is_cut = l->is_cut;
        l->has_heard = true;
        (void) pthread_mutex_unlock(&p->lock);
        if (!is_cut)
            write_whole(l->client, buffer, (size_t) n);
    }
    (void) shutdown(l->client, SHUT_RDWR);
    free(buffer);
    return NULL;
}

static int
connect_server(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    pawl_fmt(address.sun_path, sizeof address.sun_path, "%s/.s.PGSQL.%d", pawl_test_socket_dir(),
             pawl_test_port());
    if (fd >= 0 && connect(fd, (const struct sockaddr *) (const void *) &address, sizeof address) != 0)
    {
        (void) close(fd);
        return -1;
    }
    return fd;
}

static void
add_link(pawl_test_proxy *p, int client)
{
    int at_once = 1;
    int server = connect_server();
    link_pair *l = server >= 0 ? calloc(1, sizeof *l) : NULL;

    /* As any server has it: an answer that comes in pieces must not wait until its first piece is acknowledged. */
    (void) setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once);
    (void) pthread_mutex_lock(&p->lock);
    if (l != NULL && p->link_count < LINKS_MAX && !p->is_stopping)
    {
        *l = (link_pair){.proxy = p, .client = client, .server = server};
        if (pthread_create(&l->up, NULL, pump_up, l) == 0 &&
            pthread_create(&l->down, NULL, pump_down, l) == 0)
        {
            p->links[p->link_count++] = l;
            l = NULL;
            server = -1;
            client = -1;
        }
    }
    (void) pthread_mutex_unlock(&p->lock);
    free(l);
    if (server >= 0)
        (void) close(server);
    if (client >= 0)
        (void) close(client);
}

static void *
accept_all(void *arg)
{
    pawl_test_proxy *p = arg;

    for (;;)
    {
        int client = accept(p->listener, NULL, NULL);

        if (client < 0 && errno == EINTR)
            continue;
        if (client < 0)
            return NULL;
        add_link(p, client);
    }
}

pawl_test_proxy *
pawl_test_proxy_start(void)
{
    pawl_test_proxy *p = calloc(1, sizeof *p);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;

    if (p == NULL)
        fail_msg("out of memory");
    p->listener = socket(AF_INET, SOCK_STREAM, 0);
    if (p->listener < 0 ||
        bind(p->listener, (const struct sockaddr *) (const void *) &address, sizeof address) != 0 ||
        listen(p->listener, 64) != 0 ||
        getsockname(p->listener, (struct sockaddr *) (void *) &address, &length) != 0)
        fail_msg("the proxy cannot listen: %s", strerror(errno));
    p->port = ntohs(address.sin_port);
    if (pthread_mutex_init(&p->lock, NULL) != 0 || pthread_cond_init(&p->changed, NULL) != 0 ||
        pthread_create(&p->acceptor, NULL, accept_all, p) != 0)
        fail_msg("the proxy cannot start its threads");
    return p;
}

void
pawl_test_proxy_stop(pawl_test_proxy *p)
{
    if (p == NULL)
        return;
    (void) pthread_mutex_lock(&p->lock);
    p->is_stopping = true;
    (void) pthread_cond_broadcast(&p->changed);
    (void) pthread_mutex_unlock(&p->lock);
    (void) shutdown(p->listener, SHUT_RDWR);
    (void) pthread_join(p->acceptor, NULL);
    (void) close(p->listener);
    for (int i = 0; i < p->link_count; i++)
    {
        link_pair *l = p->links[i];

        (void) shutdown(l->client, SHUT_RDWR);
        (void) shutdown(l->server, SHUT_RDWR);
        (void) pthread_join(l->up, NULL);
        (void) pthread_join(l->down, NULL);
        (void) close(l->client);
        (void) close(l->server);
        free(l);
    }
    (void) pthread_cond_destroy(&p->changed);
    (void) pthread_mutex_destroy(&p->lock);
    free(p);
}

void
pawl_test_proxy_conninfo(const pawl_test_proxy *p, const char *database, char *out, size_t size)
{
    pawl_fmt(out, size, "host=127.0.0.1 port=%d dbname=%s user=postgres", p->port, database);
}

void
pawl_test_proxy_cut_on(pawl_test_proxy *p, const char *text, int nth, pawl_test_cut how)
{
    (void) pthread_mutex_lock(&p->lock);
    pawl_fmt(p->awaited, sizeof p->awaited, "%s", text);
    p->awaited_nth = nth;
    p->how = how;
    (void) pthread_mutex_unlock(&p->lock);
}

void
pawl_test_proxy_cut_now(pawl_test_proxy *p)
{
    (void) pthread_mutex_lock(&p->lock);
    for (int i = 0; i < p->link_count; i++)
        cut(p->links[i]);
    (void) pthread_mutex_unlock(&p->lock);
}

int
pawl_test_proxy_cuts(pawl_test_proxy *p)
{
    (void) pthread_mutex_lock(&p->lock);
    int cuts = p->cuts;
    (void) pthread_mutex_unlock(&p->lock);
    return cuts;
}

int
pawl_test_proxy_turns(pawl_test_proxy *p, const char *text)
{
    int turns = 0;

    (void) pthread_mutex_lock(&p->lock);
    for (int i = 0; i < p->link_count; i++)
        turns += strstr(p->links[i]->greeting, text) != NULL ? p->links[i]->turns : 0;
    (void) pthread_mutex_unlock(&p->lock);
    return turns;
}

void
pawl_test_proxy_release(pawl_test_proxy *p)
{
    (void) pthread_mutex_lock(&p->lock);
    p->releases++;
    (void) pthread_cond_broadcast(&p->changed);
    (void) pthread_mutex_unlock(&p->lock);
}

void
pawl_test_proxy_freeze(pawl_test_proxy *p, bool is_frozen)
{
    (void) pthread_mutex_lock(&p->lock);
    p->is_frozen = is_frozen;
    (void) pthread_cond_broadcast(&p->changed);
    (void) pthread_mutex_unlock(&p->lock);
}

void
pawl_test_proxy_delay(pawl_test_proxy *p, int ms)
{
    (void) pthread_mutex_lock(&p->lock);
    p->delay_ms = ms;
    (void) pthread_cond_broadcast(&p->changed);
    (void) pthread_mutex_unlock(&p->lock);
}
