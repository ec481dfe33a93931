#include "core/log.h"

#include <stdarg.h>

#include "util/strbuf.h"

#include "util/banned.h"

void
pawl_log_emit(const pawl_sink *sink, const pawl_event *event)
{
    if (sink != NULL && sink->emit != NULL)
        sink->emit(sink->ctx, event);
}

void
pawl_log_text(const pawl_sink *sink, pawl_event_kind kind, const char *fmt, ...)
{
    char text[2048];
    va_list args;

    if (sink == NULL || sink->emit == NULL)
        return;

    va_start(args, fmt);
    pawl_vfmt(text, sizeof text, fmt, args);
    va_end(args);
    pawl_log_emit(sink, &(pawl_event){.kind = kind, .text = text});
}

const char *
pawl_event_kind_name(pawl_event_kind kind)
{
    switch (kind)
    {
        case PAWL_EVENT_DEBUG:
            return "debug";
        case PAWL_EVENT_INFO:
            return "info";
        case PAWL_EVENT_WARNING:
            return "warning";
        case PAWL_EVENT_TARGET:
            return "target";
        case PAWL_EVENT_REVISION_BEGIN:
            return "revision_begin";
        case PAWL_EVENT_REVISION_END:
            return "revision_end";
        case PAWL_EVENT_STEP_BEGIN:
            return "step_begin";
        case PAWL_EVENT_STEP_END:
            return "step_end";
        case PAWL_EVENT_STEP_SKIPPED:
            return "step_skipped";
        case PAWL_EVENT_WAITING:
            return "waiting";
        case PAWL_EVENT_PROGRESS:
            return "progress";
        case PAWL_EVENT_BENCH_CELL:
            return "bench_cell";
    }
    return "unknown";
}
