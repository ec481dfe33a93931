#include "step/script.h"

#include "util/banned.h"

pawl_status
pawl_script_table(const pawl_step_script *s, const char *table, const char **out, pawl_error *err)
{
    const char *schema = NULL;
    const char *name = NULL;
    PAWL_STRBUF_AUTO(quoted);

    if (!pawl_step_can_split_name(table, true, s->arena, &schema, &name))
        return pawl_error_set(err, PAWL_E_INPUT, "\"%s\" is not the name of a table", table);
    if (schema[0] == '\0')
        pawl_sql_ident(&quoted, name);
    else
        pawl_sql_ident2(&quoted, schema, name);
    const char *copy = pawl_strbuf_is_ok(&quoted) ? pawl_arena_strdup(s->arena, quoted.data) : NULL;
    if (copy == NULL)
        return pawl_error_nomem(err, "a name");
    *out = copy;
    return PAWL_OK;
}

/* Kept in the arena; where memory ran out the script is marked. */
static const char *
keep(const pawl_step_script *s, const pawl_strbuf *text)
{
    const char *copy = pawl_strbuf_is_ok(text) ? pawl_arena_strdup(s->arena, text->data) : NULL;

    if (copy == NULL)
        s->out->failed = true;
    return copy == NULL ? "" : copy;
}

const char *
pawl_script_text(const pawl_step_script *s, const char *text)
{
    PAWL_STRBUF_AUTO(literal);

    pawl_sql_literal(&literal, text);
    return keep(s, &literal);
}

void
pawl_script_add(const pawl_step_script *s, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    pawl_strbuf_vaddf(s->out, fmt, args);
    va_end(args);
}

void
pawl_script_do(const pawl_step_script *s, const char *body)
{
    pawl_sql_add(s->out, "DO ");
    pawl_sql_dollar(s->out, body);
    pawl_sql_add(s->out, ";\n");
}

void
pawl_script_if(const pawl_step_script *s, const char *condition)
{
    pawl_strbuf_addf(s->out, "SELECT COALESCE((%s), false) AS pawl_if \\gset\n\\if :pawl_if\n", condition);
}

void
pawl_script_endif(const pawl_step_script *s)
{
    pawl_sql_add(s->out, "\\endif\n");
}

void
pawl_script_wait(const pawl_step_script *s, bool has_timeout)
{
    pawl_strbuf_addf(s->out, "SET lock_timeout = %lld;\n",
                     has_timeout ? (long long) s->settings->lock_timeout_ms : 0LL);
}

static void
add_record(const pawl_step_script *s, pawl_strbuf *b, const char *direction, int ordinal)
{
    pawl_sql_add(b, "s.revision_id = ");
    pawl_sql_literal(b, s->revision);
    pawl_strbuf_addf(b, " AND s.direction = '%s' AND s.ordinal = ", direction);
    if (ordinal > 0)
        pawl_strbuf_addf(b, "%d", ordinal);
    else
        pawl_sql_add(b, "current_setting('pawl.ordinal')::integer");
}

static const char *
info_of(const pawl_step_script *s, const char *direction, int ordinal)
{
    PAWL_STRBUF_AUTO(b);

    pawl_strbuf_addf(&b, "(SELECT s.info FROM %s.step s WHERE ", s->ledger);
    add_record(s, &b, direction, ordinal);
    pawl_sql_add(&b, ")");
    return keep(s, &b);
}

const char *
pawl_script_info(const pawl_step_script *s)
{
    return info_of(s, s->direction, 0);
}

const char *
pawl_script_info_up(const pawl_step_script *s)
{
    return info_of(s, "up", s->way_up);
}

void
pawl_script_note(const pawl_step_script *s, const char *expression)
{
    pawl_strbuf_addf(s->out, "UPDATE %s.step s SET info = s.info || %s\n WHERE ", s->ledger, expression);
    add_record(s, s->out, s->direction, 0);
    pawl_sql_add(s->out, ";\n");
}
