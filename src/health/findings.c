#include "health/findings.h"

#include "core/error.h"
#include "util/strbuf.h"

#include "util/banned.h"

pawl_status
pawl_findings_new(pawl_findings **out, pawl_error *err)
{
    PAWL_AUTO(pawl_findings) f = pawl_calloc(1, sizeof *f);

    if (f == NULL || (f->arena = pawl_arena_new()) == NULL)
        return pawl_error_nomem(err, "the findings");
    *out = f;
    f = NULL;
    return PAWL_OK;
}

void
pawl_findings_free(pawl_findings *f)
{
    if (f == NULL)
        return;
    pawl_vec_fini(&f->list);
    pawl_arena_free(f->arena);
    pawl_free(f);
}

const char *
pawl_findings_text(pawl_findings *f, const char *fmt, ...)
{
    PAWL_STRBUF_AUTO(text);
    const char *copy;
    va_list args;

    va_start(args, fmt);
    pawl_strbuf_vaddf(&text, fmt, args);
    va_end(args);
    copy = pawl_strbuf_is_ok(&text) ? pawl_arena_strndup(f->arena, text.data, text.length) : NULL;
    f->has_failed = f->has_failed || copy == NULL;
    return copy == NULL ? "" : copy;
}

static const char *
own(pawl_findings *f, const char *text)
{
    const char *copy = pawl_arena_strdup(f->arena, text == NULL ? "" : text);

    f->has_failed = f->has_failed || copy == NULL;
    return copy;
}

void
pawl_findings_add(pawl_findings *f, const pawl_finding *finding)
{
    const pawl_finding copy = {.level = finding->level,
                               .check = own(f, finding->check),
                               .object = own(f, finding->object),
                               .message = own(f, finding->message),
                               .meaning = own(f, finding->meaning),
                               .advice = own(f, finding->advice)};

    if (!pawl_vec_push(&f->list, copy))
        f->has_failed = true;
}

pawl_status
pawl_findings_finish(pawl_findings *f, const char *target, const char *server, pawl_health_report **out,
                     pawl_error *err)
{
    pawl_health_report *r = pawl_arena_alloc(f->arena, sizeof *r);
    pawl_finding *findings = pawl_arena_array(f->arena, f->list.length, sizeof *findings);

    if (r == NULL || findings == NULL)
        return pawl_error_nomem(err, "the findings");
    r->target = own(f, target);
    r->server = own(f, server);
    if (f->has_failed)
        return pawl_error_nomem(err, "the findings");

    for (size_t i = 0; i < f->list.length; i++)
    {
        findings[i] = f->list.items[i];
        r->worst = findings[i].level > r->worst ? findings[i].level : r->worst;
    }
    r->findings = findings;
    r->nfindings = f->list.length;
    r->memory = f->arena;
    f->arena = NULL;
    *out = r;
    return PAWL_OK;
}

void
pawl_health_free(pawl_health_report *report)
{
    if (report != NULL)
        pawl_arena_free(report->memory);
}

const char *
pawl_health_level_name(pawl_health_level level)
{
    switch (level)
    {
        case PAWL_HEALTH_OK:
            return "ok";
        case PAWL_HEALTH_NOTE:
            return "note";
        case PAWL_HEALTH_WARNING:
            return "warning";
        case PAWL_HEALTH_ERROR:
            return "error";
    }
    return "error";
}
