#include "online/block_pipe.h"

#include "util/alloc.h"
#include "util/clock.h"
#include "util/lock.h"

#include "util/banned.h"

/* Protected by the lock. */
struct pipe_state
{
    pawl_block *ring;
    size_t first;
    size_t count;
    size_t bytes;       /* in the blocks that wait */
    bool is_closed;     /* the reader has ended */
    bool is_given_up;   /* the loader has */
    pawl_status status; /* of the reader */
    pawl_error error;
};

struct pawl_block_pipe
{
    size_t most;
    size_t most_bytes;
    pawl_mutex lock;
    pawl_cond changed;
    bool has_lock;
    bool has_cond;
    struct pipe_state state_;
};

static struct pipe_state *
locked(pawl_block_pipe *p) PAWL_REQUIRES(&p->lock)
{
    return &p->state_;
}

void
pawl_block_fini(pawl_block *block)
{
    pawl_strbuf_fini(&block->bytes);
    pawl_keyval_fini(&block->hi);
    *block = (pawl_block){.bytes = PAWL_STRBUF_INIT};
}

pawl_status
pawl_block_pipe_new(size_t most, size_t most_bytes, pawl_block_pipe **out, pawl_error *err)
{
    PAWL_AUTO(pawl_block_pipe) p = pawl_calloc(1, sizeof *p);

    if (p == NULL)
        return pawl_error_nomem(err, "a pipe");
    p->most = most;
    p->most_bytes = most_bytes;
    p->state_.ring = pawl_calloc(most, sizeof *p->state_.ring);
    p->has_lock = pawl_mutex_can_init(&p->lock);
    p->has_cond = p->has_lock && pawl_cond_can_init(&p->changed);
    if (p->state_.ring == NULL || !p->has_cond)
        return pawl_error_nomem(err, "a pipe");
    *out = p;
    p = NULL;
    return PAWL_OK;
}

/* Both threads are done with it. */
void
pawl_block_pipe_free(pawl_block_pipe *p)
{
    if (p == NULL)
        return;
    for (size_t i = 0; i < p->state_.count; i++)
        pawl_block_fini(&p->state_.ring[(p->state_.first + i) % p->most]);
    pawl_free(p->state_.ring);
    if (p->has_cond)
        pawl_cond_fini(&p->changed);
    if (p->has_lock)
        pawl_mutex_fini(&p->lock);
    pawl_free(p);
}

/* One block goes in in any case, however large. */
static bool
is_full(const pawl_block_pipe *p, const struct pipe_state *s)
{
    return s->count == p->most || (s->count > 0 && s->bytes >= p->most_bytes);
}

pawl_status
pawl_block_pipe_put(pawl_block_pipe *p, pawl_block *block, pawl_error *err)
{
    bool is_given_up;

    pawl_mutex_lock(&p->lock);
    while (is_full(p, locked(p)) && !locked(p)->is_given_up)
        pawl_cond_wait(&p->changed, &p->lock);
    is_given_up = locked(p)->is_given_up;
    if (!is_given_up)
    {
        struct pipe_state *s = locked(p);

        s->bytes += block->bytes.length;
        s->ring[(s->first + s->count++) % p->most] = *block;
        *block = (pawl_block){.bytes = PAWL_STRBUF_INIT};
        pawl_cond_broadcast(&p->changed);
    }
    pawl_mutex_unlock(&p->lock);
    return is_given_up ? pawl_error_set(err, PAWL_E_STOPPED, "the loader has given up") : PAWL_OK;
}

void
pawl_block_pipe_close(pawl_block_pipe *p, pawl_status st, const pawl_error *err)
{
    pawl_mutex_lock(&p->lock);
    locked(p)->is_closed = true;
    locked(p)->status = st;
    if (st != PAWL_OK)
        locked(p)->error = *err;
    pawl_cond_broadcast(&p->changed);
    pawl_mutex_unlock(&p->lock);
}

bool
pawl_block_pipe_has_something(pawl_block_pipe *p, int64_t within_ms)
{
    int64_t until_us = pawl_clock_us() + within_ms * 1000;
    bool has_something;

    pawl_mutex_lock(&p->lock);
    while (locked(p)->count == 0 && !locked(p)->is_closed &&
           pawl_cond_has_signal_before(&p->changed, &p->lock, until_us))
        continue;
    has_something = locked(p)->count > 0 || locked(p)->is_closed;
    pawl_mutex_unlock(&p->lock);
    return has_something;
}

bool
pawl_block_pipe_is_given_up(pawl_block_pipe *p)
{
    bool is_given_up;

    pawl_mutex_lock(&p->lock);
    is_given_up = locked(p)->is_given_up;
    pawl_mutex_unlock(&p->lock);
    return is_given_up;
}

pawl_status
pawl_block_pipe_take(pawl_block_pipe *p, pawl_block *out, pawl_error *err)
{
    pawl_status st = PAWL_OK;

    pawl_mutex_lock(&p->lock);
    while (locked(p)->count == 0 && !locked(p)->is_closed)
        pawl_cond_wait(&p->changed, &p->lock);

    struct pipe_state *s = locked(p);

    if (s->count > 0)
    {
        *out = s->ring[s->first];
        s->bytes -= out->bytes.length;
        s->first = (s->first + 1) % p->most;
        s->count--;
        pawl_cond_broadcast(&p->changed);
    }
    else if (s->status != PAWL_OK)
    {
        *err = s->error;
        st = s->status;
    }
    else
        st = pawl_error_set(err, PAWL_E_BUG, "the reader ended before its last range");
    pawl_mutex_unlock(&p->lock);
    return st;
}

void
pawl_block_pipe_give_up(pawl_block_pipe *p)
{
    pawl_mutex_lock(&p->lock);
    locked(p)->is_given_up = true;
    pawl_cond_broadcast(&p->changed);
    pawl_mutex_unlock(&p->lock);
}
