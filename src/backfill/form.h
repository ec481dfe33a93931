/*
 * form.h - whether a job is written in stripes or plainly, and why.
 *
 * Stripes pay where the new version of a row can stay in the row's page: then neither the table nor its indexes grow.
 * That needs PostgreSQL 14, a key whose text cannot change while it stays equal (stripe.h), no index over a written
 * column, rows that lie about in the order of the key, a table that is not small, and no snapshot so old that nothing
 * can be cleared away. look asks the catalogue, once. What the catalogue does not tell shows in the share of updates
 * that stayed in their page: below 30 % the job goes on in the plain form, and tries again a minute later.
 *
 *   look -> new -> (is_striped | saw ... from any worker) -> free
 *
 * Threads: new to free is shared by the workers; one internal mutex, a leaf.
 * Memory:  look's texts live in the job's arena.
 */
#ifndef PAWL_BACKFILL_FORM_H
#define PAWL_BACKFILL_FORM_H

#include "backfill/job.h"

typedef struct pawl_form pawl_form;

/* As it is just now. */
typedef struct pawl_form_now
{
    bool is_striped;
    char why[240];
} pawl_form_now;

/* Fill job->form. PAWL_E_REFUSED when the step asks for stripes and a row could not be done exactly once in them. */
PAWL_NODISCARD pawl_status pawl_form_look(pawl_job *job, pawl_pg *pg, pawl_error *err);

PAWL_NODISCARD pawl_status pawl_form_new(const pawl_job *job, pawl_form **out, pawl_error *err);
void pawl_form_free(pawl_form *form);

bool pawl_form_is_striped(pawl_form *form);
void pawl_form_tell(pawl_form *form, pawl_form_now *out);

/* The same; true when it has changed since it was last asked so. */
bool pawl_form_has_news(pawl_form *form, pawl_form_now *out);

/* A worker has seen `updates` rows updated, `hot` of them within their page. True when the ledger is to be told. */
bool pawl_form_has_turned(pawl_form *form, int64_t updates, int64_t hot);

/* Into the ledger, with an event when it was otherwise before. In a transaction of its own. */
PAWL_NODISCARD pawl_status pawl_form_record(const pawl_job *job, const pawl_form_now *now,
                                            pawl_ledger *ledger, pawl_pg *pg, pawl_error *err);

#endif
