#include "online/copy_turns.h"

#include "util/alloc.h"
#include "util/lock.h"

#include "util/banned.h"

enum
{
    SLOW_US =
        4000000, /* a range that takes longer is halved: its transaction keeps VACUUM from its work ... */
    FAST_US = 1000000, /* ... one that takes less is doubled */
};

/* Protected by the lock. */
struct turns_state
{
    pawl_keyval frontier; /* handed out up to here */
    int64_t next;         /* the number of the next range */
    int64_t turn;         /* the range that may commit */
    int64_t rows;
    int64_t failed; /* the first range that has failed; INT64_MAX: none */
    int at_work;
    bool is_looked_for; /* the end of the next range, by somebody */
    bool is_handed_out; /* all is */
    bool has_failed;
    pawl_error error;
};

struct pawl_copy_turns
{
    pawl_mutex lock;
    pawl_cond changed;
    bool has_lock;
    bool has_cond;
    struct turns_state state_;
};

static struct turns_state *
locked(pawl_copy_turns *t) PAWL_REQUIRES(&t->lock)
{
    return &t->state_;
}

void
pawl_copy_range_fini(pawl_copy_range *range)
{
    pawl_keyval_fini(&range->lo);
    pawl_keyval_fini(&range->hi);
}

pawl_status
pawl_copy_turns_new(const pawl_keyval *cursor, int workers, int64_t rows, pawl_copy_turns **out,
                    pawl_error *err)
{
    PAWL_AUTO(pawl_copy_turns) t = pawl_calloc(1, sizeof *t);
    pawl_status st;

    if (t == NULL)
        return pawl_error_nomem(err, "the ranges of a copy");
    t->has_lock = pawl_mutex_can_init(&t->lock);
    t->has_cond = t->has_lock && pawl_cond_can_init(&t->changed);
    if (!t->has_cond)
        return pawl_error_nomem(err, "a lock");
    if ((st = pawl_keyval_copy(&t->state_.frontier, cursor, err)) != PAWL_OK)
        return st;
    t->state_.failed = INT64_MAX;
    t->state_.at_work = workers;
    t->state_.rows = rows;
    *out = t;
    t = NULL;
    return PAWL_OK;
}

void
pawl_copy_turns_free(pawl_copy_turns *t)
{
    if (t == NULL)
        return;
    pawl_keyval_fini(&t->state_.frontier);
    if (t->has_cond)
        pawl_cond_fini(&t->changed);
    if (t->has_lock)
        pawl_mutex_fini(&t->lock);
    pawl_free(t);
}

bool
pawl_copy_turns_is_over(pawl_copy_turns *t)
{
    bool is_over;

    pawl_mutex_lock(&t->lock);
    is_over = locked(t)->is_handed_out || locked(t)->has_failed;
    pawl_mutex_unlock(&t->lock);
    return is_over;
}

pawl_status
pawl_copy_turns_take(pawl_copy_turns *t, pawl_copy_range *range, bool *got, pawl_error *err)
{
    pawl_status st = PAWL_OK;

    pawl_mutex_lock(&t->lock);
    struct turns_state *s = locked(t);

    while (s->is_looked_for && !s->has_failed)
        pawl_cond_wait(&t->changed, &t->lock);
    *got = !s->is_handed_out && !s->has_failed;
    if (*got)
    {
        s->is_looked_for = true;
        range->number = s->next;
        st = pawl_keyval_copy(&range->lo, &s->frontier, err);
    }
    pawl_mutex_unlock(&t->lock);
    return st;
}

pawl_status
pawl_copy_turns_found(pawl_copy_turns *t, const pawl_copy_range *range, pawl_error *err)
{
    pawl_status st;

    pawl_mutex_lock(&t->lock);
    struct turns_state *s = locked(t);

    st = pawl_keyval_copy(&s->frontier, &range->hi, err);
    if (st == PAWL_OK)
    {
        s->next++;
        s->is_looked_for = false;
        s->is_handed_out = range->is_last;
        pawl_cond_broadcast(&t->changed);
    }
    pawl_mutex_unlock(&t->lock);
    return st;
}

bool
pawl_copy_turns_is_void(pawl_copy_turns *t, int64_t number)
{
    bool is_void;

    pawl_mutex_lock(&t->lock);
    is_void = locked(t)->failed < number;
    pawl_mutex_unlock(&t->lock);
    return is_void;
}

pawl_copy_turn
pawl_copy_turns_await(pawl_copy_turns *t, int64_t number, int64_t until_us)
{
    pawl_copy_turn turn;
    bool is_time_left = true;

    pawl_mutex_lock(&t->lock);
    struct turns_state *s = locked(t);

    while (s->turn != number && s->failed >= number && is_time_left)
        is_time_left = pawl_cond_has_signal_before(&t->changed, &t->lock, until_us);
    turn = s->turn == number ? PAWL_COPY_GO : s->failed < number ? PAWL_COPY_VOID : PAWL_COPY_WAIT;
    pawl_mutex_unlock(&t->lock);
    return turn;
}

void
pawl_copy_turns_committed(pawl_copy_turns *t, int64_t number)
{
    pawl_mutex_lock(&t->lock);
    locked(t)->turn = number + 1;
    pawl_cond_broadcast(&t->changed);
    pawl_mutex_unlock(&t->lock);
}

void
pawl_copy_turns_fail(pawl_copy_turns *t, int64_t number, const pawl_error *failure)
{
    pawl_mutex_lock(&t->lock);
    struct turns_state *s = locked(t);
    int64_t which = number < 0 ? s->next : number;

    if (!s->has_failed || which < s->failed)
    {
        s->failed = which;
        s->error = *failure;
    }
    s->has_failed = true;
    pawl_cond_broadcast(&t->changed);
    pawl_mutex_unlock(&t->lock);
}

int64_t
pawl_copy_turns_rows(pawl_copy_turns *t)
{
    int64_t rows;

    pawl_mutex_lock(&t->lock);
    rows = locked(t)->rows;
    pawl_mutex_unlock(&t->lock);
    return rows;
}

void
pawl_copy_turns_took(pawl_copy_turns *t, int64_t rows, int64_t took_us)
{
    pawl_mutex_lock(&t->lock);
    struct turns_state *s = locked(t);

    if (took_us > SLOW_US && rows > 1 && rows <= s->rows)
        s->rows = rows / 2;
    else if (took_us < FAST_US && rows == s->rows)
        s->rows *= 2;
    pawl_mutex_unlock(&t->lock);
}

void
pawl_copy_turns_leave(pawl_copy_turns *t)
{
    pawl_mutex_lock(&t->lock);
    locked(t)->at_work--;
    pawl_cond_broadcast(&t->changed);
    pawl_mutex_unlock(&t->lock);
}

bool
pawl_copy_turns_is_at_work(pawl_copy_turns *t, int64_t until_us)
{
    bool are;

    pawl_mutex_lock(&t->lock);
    while (locked(t)->at_work > 0 && pawl_cond_has_signal_before(&t->changed, &t->lock, until_us))
        ;
    are = locked(t)->at_work > 0;
    pawl_mutex_unlock(&t->lock);
    return are;
}

pawl_status
pawl_copy_turns_outcome(pawl_copy_turns *t, pawl_error *err)
{
    pawl_status st = PAWL_OK;

    pawl_mutex_lock(&t->lock);
    if (locked(t)->has_failed)
    {
        *err = locked(t)->error;
        st = err->code;
    }
    pawl_mutex_unlock(&t->lock);
    return st;
}
