/*
 * pawl.h - everything of libpawl: backfills, revisions, previews, benchmarks, checks.
 *
 * Threads: see each header.
 * Memory:  see each header.
 */
#ifndef PAWL_PAWL_H
#define PAWL_PAWL_H

#include "pawl/archive.h"
#include "pawl/backfill.h"
#include "pawl/bench.h"
#include "pawl/control.h"
#include "pawl/error.h"
#include "pawl/event.h"
#include "pawl/graph.h"
#include "pawl/health.h"
#include "pawl/project.h"
#include "pawl/rejects.h"
#include "pawl/script.h"
#include "pawl/squash.h"
#include "pawl/stop.h"
#include "pawl/transform.h"

/* The version of the library, "0.1.0". A static string. */
PAWL_API const char *pawl_version(void);

#endif
