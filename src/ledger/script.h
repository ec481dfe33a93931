/*
 * script.h - the ledger's statements as text, for scripts that psql runs in pawl's place.
 *
 * They are the same statements that pawl runs, with values written in, and so a script leaves the ledger as an upgrade
 * would have left it. Arguments are SQL expressions (pg/literal.h makes them of texts).
 *
 * Threads: as ledger.h.
 * Memory:  as util/strbuf.h: a buffer that ran out of memory is marked.
 */
#ifndef PAWL_LEDGER_SCRIPT_H
#define PAWL_LEDGER_SCRIPT_H

#include "ledger/ledger.h"

/* versions[v] makes version v + 1 of the ledger of version v. */
extern const char *const pawl_ledger_versions[PAWL_LEDGER_VERSION];

/* Create the ledger, or bring it to PAWL_LEDGER_VERSION, unless it is there; refuse a newer one. One statement. */
void pawl_ledger_script_ensure(pawl_ledger *ledger, pawl_strbuf *out);

/* One of pawl_sql_*, with the schema and the arguments put in, and a semicolon. */
void pawl_ledger_script(pawl_ledger *ledger, pawl_strbuf *out, const char *sql, int nargs,
                        const char *const *args);

#endif
