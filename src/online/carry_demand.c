/* What is enforced from the cut-over on, as conditions by which a row that it refuses is found beforehand. */
#include <string.h>

#include "online/carry_private.h"

#include "util/banned.h"

static void
add(pawl_carry_builder *b, const pawl_hang *item, const pawl_strbuf *violated, const char *not_null,
    bool is_of_row)
{
    pawl_carry *carry = b->carry;
    const char *text = pawl_strbuf_is_ok(violated) ? pawl_arena_strdup(b->arena, violated->data) : NULL;

    if (text == NULL)
        b->failed = true;
    else
        carry->demands[carry->ndemands++] = (pawl_carry_demand){.what = pawl_carry_label(b, item),
                                                                .violated = text,
                                                                .not_null = not_null,
                                                                .is_of_row = is_of_row};
}

static void
demand_not_null(pawl_carry_builder *b, const pawl_hang *item, const char *replacement)
{
    PAWL_STRBUF_AUTO(violated);

    pawl_sql_column(&violated, "t", replacement);
    pawl_sql_add(&violated, " IS NULL");
    add(b, item, &violated, replacement, true);
}

/* A BEFORE trigger sees NULL in generated columns. */
static bool
has_generated(const pawl_carry_builder *b, const pawl_hang *item)
{
    for (size_t i = 0; i < b->hanging->nitems; i++)
        if (b->hanging->items[i].kind == PAWL_HANG_GENERATED &&
            pawl_hang_has_column(item, b->hanging->items[i].name))
            return true;
    return false;
}

static void
demand_check(pawl_carry_builder *b, size_t i)
{
    const pawl_hang *item = &b->hanging->items[i];
    PAWL_STRBUF_AUTO(violated);

    if (b->tried[i].expression == NULL)
        return;
    pawl_sql_add(&violated, "(");
    pawl_sql_fragment(&violated, b->tried[i].expression);
    pawl_sql_add(&violated, ") IS FALSE");
    add(b, item, &violated, NULL, !has_generated(b, item));
}

/* " IS NOT NULL" of all columns, or of some: MATCH SIMPLE passes over the others, MATCH FULL refuses a mixture. */
static void
add_nulls(pawl_strbuf *out, const char *const *names, size_t count, const char *test, const char *between)
{
    for (size_t i = 0; i < count; i++)
    {
        pawl_sql_add(out, i > 0 ? between : "(");
        pawl_sql_column(out, "t", names[i]);
        pawl_sql_add(out, test);
    }
    pawl_sql_add(out, ")");
}

static void
add_lookup(pawl_strbuf *out, pawl_carry_builder *b, size_t i, const char *const *here,
           const char *const *there)
{
    const pawl_hang *item = &b->hanging->items[i];

    pawl_strbuf_addf(out, " AND NOT EXISTS (SELECT FROM %s AS pawl_p WHERE ",
                     pawl_hang_has(item, "self") ? b->table : item->relation);
    for (size_t k = 0; k < item->nothers; k++)
    {
        pawl_sql_add(out, k > 0 ? " AND " : "");
        pawl_sql_column(out, "pawl_p", there[k]);
        pawl_strbuf_addf(out, " %s ", b->tried[i].operators == NULL ? "=" : b->tried[i].operators[k]);
        pawl_sql_column(out, "t", here[k]);
    }
    pawl_sql_add(out, ")");
}

static void
demand_key(pawl_carry_builder *b, size_t i, const pawl_carry_swap_spec *spec)
{
    const pawl_hang *item = &b->hanging->items[i];
    bool is_self = pawl_hang_has(item, "self");
    const char **here = pawl_arena_array(b->arena, item->nothers, sizeof *here);
    const char **there = pawl_arena_array(b->arena, item->nothers, sizeof *there);
    PAWL_STRBUF_AUTO(violated);

    if (here == NULL || there == NULL)
    {
        b->failed = true;
        return;
    }
    for (size_t k = 0; k < item->nothers; k++)
    {
        here[k] = strcmp(item->columns[k], spec->column) == 0 ? spec->replacement : item->columns[k];
        there[k] = is_self ? item->columns[item->nothers + k] : item->others[k];
        if (is_self && strcmp(there[k], spec->column) == 0)
            there[k] = spec->replacement;
    }
    add_nulls(&violated, here, item->nothers, " IS NOT NULL", " AND ");
    add_lookup(&violated, b, i, here, there);
    if (strstr(item->tail, " MATCH FULL") != NULL)
    {
        pawl_sql_add(&violated, " OR (");
        add_nulls(&violated, here, item->nothers, " IS NULL", " OR ");
        pawl_sql_add(&violated, " AND ");
        add_nulls(&violated, here, item->nothers, " IS NOT NULL", " OR ");
        pawl_sql_add(&violated, ")");
    }
    add(b, item, &violated, NULL, false);
}

pawl_status
pawl_carry_refuse_row(const pawl_carry_demand *demand, const char *schema, const char *table,
                      const char *keys, pawl_error *err)
{
    (void) pawl_error_set(err, PAWL_E_STATE,
                          "rows of \"%s.%s\" do not meet what the column that is to go live must meet: %s",
                          schema, table, demand->what);
    (void) pawl_error_detail(
        err, "for example where %s; nothing was swapped, the application goes on as before", keys);
    return pawl_error_hint(err, "mend these rows or the transform, or drop what they break, and run the same "
                                "again; a downgrade takes away what was made so far");
}

/* A row whose other columns change is not read again for the transform's sake. */
static void
note_beside(pawl_carry_builder *b, const pawl_hang *item, const pawl_carry_swap_spec *spec)
{
    pawl_carry *carry = b->carry;
    const char **more = pawl_arena_array(b->arena, carry->nbeside + item->ncolumns, sizeof *more);

    if (more == NULL)
    {
        b->failed = true;
        return;
    }
    for (size_t i = 0; i < carry->nbeside; i++)
        more[i] = carry->beside[i];
    carry->beside = more;
    for (size_t i = 0; i < item->ncolumns; i++)
        if (strcmp(item->columns[i], spec->column) != 0 && strcmp(item->columns[i], spec->replacement) != 0)
            more[carry->nbeside++] = item->columns[i];
}

/* A constraint that is NOT VALID has been broken by rows that are there, and stays so. */
void
pawl_carry_demand_all(pawl_carry_builder *b, const pawl_carry_swap_spec *spec)
{
    const pawl_hanging *hanging = b->hanging;

    b->carry->demands = pawl_arena_array(b->arena, hanging->nitems, sizeof *b->carry->demands);
    if (b->carry->demands == NULL)
        b->failed = true;
    for (size_t i = 0; !b->failed && i < hanging->nitems; i++)
    {
        const pawl_hang *item = &hanging->items[i];

        if (item->fate != PAWL_FATE_CARRIED || pawl_hang_has(item, "not_valid"))
            continue;
        if (item->kind == PAWL_HANG_NOT_NULL)
            demand_not_null(b, item, spec->replacement);
        else if (item->kind == PAWL_HANG_CHECK)
            demand_check(b, i);
        else if (item->kind == PAWL_HANG_FOREIGN_KEY)
            demand_key(b, i, spec);
        if (item->kind == PAWL_HANG_CHECK || item->kind == PAWL_HANG_FOREIGN_KEY)
            note_beside(b, item, spec);
    }
}
