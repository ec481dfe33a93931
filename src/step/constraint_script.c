/* What the steps that add and drop constraints print. */
#include "step/constraint.h"
#include "step/index.h"
#include "step/script.h"

#include "util/banned.h"

/* One constraint as the statements name it. */
typedef struct target
{
    const pawl_step_script *s;
    const char *table;      /* quoted */
    const char *name;       /* quoted */
    const char *referenced; /* quoted; NULL when there is none */
} target;

static pawl_status
aim(const pawl_step_script *s, const char *table, const char *name, const pawl_constraint_shape *shape,
    target *out, pawl_error *err)
{
    PAWL_STRBUF_AUTO(quoted);
    pawl_status st = pawl_script_table(s, table, &out->table, err);

    if (st == PAWL_OK && shape->type == 'f')
        st = pawl_script_table(s, shape->references, &out->referenced, err);
    if (st != PAWL_OK)
        return st;
    pawl_sql_ident(&quoted, name);
    out->s = s;
    out->name = pawl_strbuf_is_ok(&quoted) ? pawl_arena_strdup(s->arena, quoted.data) : NULL;
    return out->name == NULL ? pawl_error_nomem(err, "a name") : PAWL_OK;
}

/* The first lock is waited for, the second is not; both of one table are one. */
static void
add_locks(const target *t, const char *first, const char *second, const char *mode)
{
    pawl_script_add(t->s, "LOCK TABLE %s IN %s MODE;\n", first, mode);
    pawl_script_add(t->s, "LOCK TABLE %s IN %s MODE NOWAIT;\n", second, mode);
}

static void
add_note(const target *t, const char *name)
{
    PAWL_STRBUF_AUTO(text);

    pawl_strbuf_addf(&text,
                     "(SELECT jsonb_build_object('constraint', c.oid::text, 'as', '%s') FROM "
                     "pg_catalog.pg_constraint c WHERE c.conrelid = %s::regclass AND c.conname = %s)",
                     t->s->checksum, pawl_script_text(t->s, t->table), pawl_script_text(t->s, name));
    pawl_script_note(t->s, text.data);
}

/* Unless an earlier run of the script has done it. */
static void
unless_there(const target *t, const char *name)
{
    PAWL_STRBUF_AUTO(text);

    pawl_strbuf_addf(&text,
                     "NOT (%s ? 'constraint' AND EXISTS (SELECT FROM pg_catalog.pg_constraint c WHERE "
                     "c.conrelid = %s::regclass AND c.conname = %s))",
                     pawl_script_info(t->s), pawl_script_text(t->s, t->table), pawl_script_text(t->s, name));
    pawl_script_if(t->s, text.data);
}

static pawl_status
add_unique(const target *t, const char *table, const char *name, const pawl_constraint_shape *shape,
           pawl_error *err)
{
    const pawl_index_shape index = {.table = table,
                                    .name = name,
                                    .columns = shape->columns,
                                    .ncolumns = shape->ncolumns,
                                    .is_unique = true};

    unless_there(t, name);
    pawl_status st = pawl_index_script_build(t->s, &index, true, err);
    if (st != PAWL_OK)
        return st;
    pawl_script_add(t->s, "BEGIN;\nALTER TABLE %s ADD CONSTRAINT %s UNIQUE USING INDEX %s;\n", t->table,
                    t->name, t->name);
    add_note(t, name);
    pawl_sql_add(t->s->out, "COMMIT;\n");
    pawl_script_endif(t->s);
    return PAWL_OK;
}

pawl_status
pawl_constraint_script_add(const pawl_step_script *s, const char *table, const char *name,
                           const pawl_constraint_shape *shape, pawl_error *err)
{
    target t = {.s = s};
    pawl_status st = aim(s, table, name, shape, &t, err);

    if (st != PAWL_OK)
        return st;
    if (shape->type == 'u')
        return add_unique(&t, table, name, shape, err);
    unless_there(&t, name);
    pawl_sql_add(s->out, "BEGIN;\n");
    if (shape->type == 'f')
        add_locks(&t, t.referenced, t.table, "SHARE ROW EXCLUSIVE");
    pawl_script_add(s, "ALTER TABLE %s ADD CONSTRAINT %s ", t.table, t.name);
    pawl_constraint_add_shape(s->out, shape, t.referenced);
    pawl_sql_add(s->out, " NOT VALID;\n");
    add_note(&t, name);
    pawl_sql_add(s->out, "COMMIT;\n");
    pawl_script_endif(s);
    pawl_script_add(s, "ALTER TABLE %s VALIDATE CONSTRAINT %s;\n", t.table, t.name);
    return PAWL_OK;
}

pawl_status
pawl_constraint_script_drop(const pawl_step_script *s, const char *table, const char *name,
                            const pawl_constraint_shape *shape, bool is_back, pawl_error *err)
{
    target t = {.s = s};
    PAWL_STRBUF_AUTO(text);
    pawl_status st = aim(s, table, name, shape, &t, err);

    if (st != PAWL_OK)
        return st;
    if (is_back)
        pawl_strbuf_addf(&text, "%s ? 'constraint'", pawl_script_info_up(s));
    else
        pawl_strbuf_addf(&text, "NOT %s ? 'dropped'", pawl_script_info(s));
    pawl_script_if(s, text.data);
    pawl_sql_add(s->out, "BEGIN;\n");
    if (shape->type == 'f')
        add_locks(&t, t.table, t.referenced, "ACCESS EXCLUSIVE");
    pawl_script_add(s, "ALTER TABLE %s DROP CONSTRAINT %s%s;\n", t.table, is_back ? "IF EXISTS " : "",
                    t.name);
    if (!is_back)
        pawl_script_note(s, "'{\"dropped\": true}'");
    pawl_sql_add(s->out, "COMMIT;\n");
    pawl_script_endif(s);
    return PAWL_OK;
}
