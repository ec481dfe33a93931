#include "pg/literal.h"

#include <assert.h>
#include <string.h>

#include "util/banned.h"

void
pawl_sql_literal(pawl_strbuf *b, const char *text)
{
    if (text == NULL)
    {
        pawl_strbuf_add(b, "NULL");
        return;
    }
    pawl_strbuf_addc(b, '\'');
    for (const char *c = text; *c != '\0'; c++)
    {
        if (*c == '\'')
            pawl_strbuf_addc(b, '\'');
        pawl_strbuf_addc(b, *c);
    }
    pawl_strbuf_addc(b, '\'');
}

void
pawl_sql_literal_array(pawl_strbuf *b, const char *const *items, size_t count)
{
    pawl_strbuf_add(b, "ARRAY[");
    for (size_t i = 0; i < count; i++)
    {
        pawl_strbuf_add(b, i == 0 ? "" : ", ");
        pawl_sql_literal(b, items[i]);
    }
    pawl_strbuf_add(b, "]::text[]");
}

void
pawl_sql_dollar(pawl_strbuf *b, const char *body)
{
    char tag[32] = "$pawl$";
    bool ends_in_dollar = body[0] != '\0' && body[strlen(body) - 1] == '$';

    for (int n = 1; strstr(body, tag) != NULL; n++)
        pawl_fmt(tag, sizeof tag, "$pawl%d$", n);
    pawl_strbuf_add(b, tag);
    pawl_strbuf_add(b, body);
    if (ends_in_dollar)
        pawl_strbuf_addc(b, '\n'); /* or it would be taken for the beginning of the tag */
    pawl_strbuf_add(b, tag);
}

void
pawl_sql_inline(pawl_strbuf *b, const char *sql, int nargs, const char *const *args)
{
    for (const char *c = sql; *c != '\0'; c++)
    {
        if (*c != '$' || c[1] < '1' || c[1] > '9')
        {
            pawl_strbuf_addc(b, *c);
            continue;
        }
        int n = c[1] - '0';

        assert(n <= nargs && (c[2] < '0' || c[2] > '9'));
        if (n <= nargs)
            pawl_strbuf_add(b, args[n - 1]);
        c++;
    }
}
