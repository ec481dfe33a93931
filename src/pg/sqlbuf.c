#include "pg/sqlbuf.h"

#include <assert.h>
#include <string.h>

#include "util/banned.h"

void
pawl_sql_add(pawl_strbuf *b, const char *sql)
{
    pawl_strbuf_add(b, sql);
}

void
pawl_sql_ident(pawl_strbuf *b, const char *name)
{
    pawl_strbuf_addc(b, '"');
    for (const char *c = name; *c != '\0'; c++)
    {
        if (*c == '"')
            pawl_strbuf_addc(b, '"');
        pawl_strbuf_addc(b, *c);
    }
    pawl_strbuf_addc(b, '"');
}

void
pawl_sql_ident2(pawl_strbuf *b, const char *schema, const char *name)
{
    pawl_sql_ident(b, schema);
    pawl_strbuf_addc(b, '.');
    pawl_sql_ident(b, name);
}

void
pawl_sql_column(pawl_strbuf *b, const char *alias, const char *name)
{
    pawl_strbuf_add(b, alias);
    pawl_strbuf_addc(b, '.');
    pawl_sql_ident(b, name);
}

void
pawl_sql_param(pawl_strbuf *b, int n)
{
    assert(n > 0);
    pawl_strbuf_addf(b, "$%d", n);
}

void
pawl_sql_fragment(pawl_strbuf *b, const char *user_sql)
{
    pawl_strbuf_addc(b, '(');
    pawl_strbuf_add(b, user_sql);
    pawl_strbuf_add(b, "\n)");
}

void
pawl_sql_operator(pawl_strbuf *b, const char *schema, const char *op)
{
    size_t length = strlen(op);

    /* The one name that cannot be quoted: so it may hold nothing but the characters of the lexer's op_chars. "--" and
     * the start of a comment end an operator there, and none can be created with them. */
    if (length == 0 || strspn(op, "+-*/<>=~!@#%^&|`?") != length || strstr(op, "--") != NULL ||
        strstr(op, "/*") != NULL)
    {
        b->failed = true;
        return;
    }
    pawl_strbuf_add(b, "OPERATOR(");
    pawl_sql_ident(b, schema);
    pawl_strbuf_addc(b, '.');
    pawl_strbuf_add(b, op);
    pawl_strbuf_addc(b, ')');
}

void
pawl_sql_type(pawl_strbuf *b, const char *format_type_text)
{
    pawl_strbuf_add(b, format_type_text);
}
