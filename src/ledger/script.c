#include "ledger/script.h"

#include "pawl_sql.h"
#include "pawl_version_text.h"
#include "pg/literal.h"
#include "pg/sqlbuf.h"

#include "util/banned.h"

void
pawl_ledger_script(pawl_ledger *ledger, pawl_strbuf *out, const char *sql, int nargs, const char *const *args)
{
    const char *text = pawl_ledger_sql(ledger, sql);

    if (text == NULL)
    {
        out->failed = true;
        return;
    }
    pawl_sql_inline(out, text, nargs, args);
    while (out->length > 0 && (out->data[out->length - 1] == '\n' || out->data[out->length - 1] == ';'))
        pawl_strbuf_truncate(out, out->length - 1);
    pawl_strbuf_add(out, ";\n");
}

static void
add_event(pawl_ledger *ledger, pawl_strbuf *out)
{
    const char *const args[] = {
        "CASE WHEN found_version = 0 THEN 'ledger_created' ELSE 'ledger_upgraded' END", "''", "NULL", "''",
        "concat('psql:', pg_backend_pid())"};

    pawl_ledger_script(ledger, out, pawl_sql_ledger_event_add, 5, args);
}

void
pawl_ledger_script_ensure(pawl_ledger *ledger, pawl_strbuf *out)
{
    PAWL_STRBUF_AUTO(body);
    PAWL_STRBUF_AUTO(quoted);
    PAWL_STRBUF_AUTO(name);
    char version[24];
    const char *const meta[] = {version, "'" PAWL_VERSION_TEXT "'"};

    pawl_fmt(version, sizeof version, "%d", PAWL_LEDGER_VERSION);
    pawl_sql_ident(&quoted, pawl_ledger_schema(ledger));
    pawl_sql_literal(&name, pawl_ledger_schema(ledger));
    pawl_strbuf_addf(
        &body,
        "\nDECLARE\n    found_version integer := 0;\nBEGIN\n"
        "PERFORM pg_advisory_xact_lock(x'7061776C00000001'::bigint);\n"
        "IF EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace\n"
        "            WHERE n.nspname = %s AND c.relname = 'meta') THEN\n"
        "    SELECT m.version INTO found_version FROM %s.meta m;\n"
        "ELSIF NOT EXISTS (SELECT FROM pg_namespace n WHERE n.nspname = %s) THEN\n"
        "    CREATE SCHEMA %s;\n"
        "END IF;\n"
        "IF found_version > %d THEN\n"
        "    RAISE EXCEPTION 'the ledger has version %%, and this script knows %d', found_version;\n"
        "END IF;\n",
        name.data, quoted.data, name.data, quoted.data, PAWL_LEDGER_VERSION, PAWL_LEDGER_VERSION);
    for (int v = 0; v < PAWL_LEDGER_VERSION; v++)
    {
        pawl_strbuf_addf(&body, "IF found_version <= %d THEN\n", v);
        pawl_ledger_script(ledger, &body, pawl_ledger_versions[v], 0, NULL);
        pawl_sql_add(&body, "END IF;\n");
    }
    pawl_strbuf_addf(&body, "IF found_version < %d THEN\n", PAWL_LEDGER_VERSION);
    pawl_ledger_script(ledger, &body, pawl_sql_ledger_meta_write, 2, meta);
    add_event(ledger, &body);
    pawl_sql_add(&body, "END IF;\nEND\n");

    pawl_sql_add(out, "DO ");
    pawl_sql_dollar(out, body.data);
    pawl_sql_add(out, ";\n");
    if (!pawl_strbuf_is_ok(&body) || !pawl_strbuf_is_ok(&quoted) || !pawl_strbuf_is_ok(&name))
        out->failed = true;
}
