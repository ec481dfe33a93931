/*
 * proxy.h - a network between pawl and its server that fails on demand.
 *
 * Listens on 127.0.0.1 and forwards to the private server's Unix socket. Its best trick is the lost answer: the client
 * sees its connection die while the server goes on as if nothing had happened, until it is released.
 *
 *   start -> (cut_on | cut_now | freeze | delay ... release)* -> stop
 *
 * Threads: any thread may call; each connection is served by two threads of its own.
 * Memory:  stop ends the threads and frees.
 */
#ifndef PAWL_TEST_PROXY_H
#define PAWL_TEST_PROXY_H

#include "util/attr.h"

typedef struct pawl_test_proxy pawl_test_proxy;

/* How a connection is cut when the awaited text comes by. */
typedef enum pawl_test_cut
{
    PAWL_TEST_CUT_AFTER,  /* the server gets the message and acts on it at once; the answer is lost */
    PAWL_TEST_CUT_BEFORE, /* the server gets the message only at release: the old backend acts late */
} pawl_test_cut;

pawl_test_proxy *pawl_test_proxy_start(void);
void pawl_test_proxy_stop(pawl_test_proxy *proxy);

/* A conninfo through the proxy, as the server's superuser, into `out`. */
void pawl_test_proxy_conninfo(const pawl_test_proxy *proxy, const char *database, char *out, size_t size);

/*
 * Cut the connection whose client is the nth (from 1, counted from now) to send something that contains `text`, or the
 * name of a statement that it prepared with it. Once.
 */
void pawl_test_proxy_cut_on(pawl_test_proxy *proxy, const char *text, int nth, pawl_test_cut how);

/* Close the client side of every connection now; the server sides stay open until release. */
void pawl_test_proxy_cut_now(pawl_test_proxy *proxy);

/* Connections cut so far. */
int pawl_test_proxy_cuts(pawl_test_proxy *proxy);

/*
 * Round trips so far: how often a client spoke after it had been answered, over all connections whose first message
 * contains `text`, as their application_name. Leave out what looks for orders several times a second: it counts time.
 */
int pawl_test_proxy_turns(pawl_test_proxy *proxy, const char *text);

/* Let the server sides of connections that were cut see their end (after what was kept back). */
void pawl_test_proxy_release(pawl_test_proxy *proxy);

/* Forward nothing, and keep everything open: a network that swallows packets. */
void pawl_test_proxy_freeze(pawl_test_proxy *proxy, bool is_frozen);

/* Hold back each answer of the server for so long. */
void pawl_test_proxy_delay(pawl_test_proxy *proxy, int ms);

#endif
