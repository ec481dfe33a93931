/* The lists of a rewrite: one table takes the place of another. */
#include "online/carry_rewrite.h"

#include <string.h>

#include "online/carry_private.h"

#include "util/banned.h"

typedef struct rewrite
{
    pawl_carry_builder b;
    const pawl_carry_rewrite_spec *spec;
    const char *shadow; /* qualified and quoted */
    const char *left;   /* the word in the names of what stays behind */
} rewrite;

typedef void (*do_item)(rewrite *r, const pawl_hang *item);

static void
each(rewrite *r, do_item what)
{
    for (size_t i = 0; i < r->b.hanging->nitems; i++)
        if (r->b.hanging->items[i].fate == PAWL_FATE_CARRIED)
            what(r, &r->b.hanging->items[i]);
}

static pawl_carry_unit *
in_list(rewrite *r, pawl_carry_list *list, const pawl_hang *item, const char *sql)
{
    return pawl_carry_add(&r->b, list, pawl_carry_label(&r->b, item), "%s", sql);
}

static const char *
columns(rewrite *r, const pawl_hang *item)
{
    return pawl_carry_names(&r->b, item->columns, item->ncolumns, NULL, NULL);
}

/* ---- with the shadow table ------------------------------------------------------------------------------------------------ */

static void
prepare_item(rewrite *r, const pawl_hang *item)
{
    pawl_carry_builder *b = &r->b;
    pawl_carry_list *list = &b->carry->prepare;
    const char *label = pawl_carry_label(b, item);

    switch ((int) item->kind)
    {
        case PAWL_HANG_OPTIONS:
            pawl_carry_add(b, list, label, "ALTER TABLE %s ALTER COLUMN %s SET (%s)", r->shadow,
                           columns(r, item), item->definition);
            break;
        case PAWL_HANG_COLUMN_COMMENT:
            pawl_carry_add(b, list, label, "COMMENT ON COLUMN %s.%s IS %s", r->shadow, columns(r, item),
                           pawl_carry_text(b, item->definition));
            break;
        case PAWL_HANG_COMMENT:
            pawl_carry_add(b, list, label, "COMMENT ON TABLE %s IS %s", r->shadow,
                           pawl_carry_text(b, item->definition));
            break;
        case PAWL_HANG_CHECK:
            pawl_carry_add(b, list, label, "ALTER TABLE %s ADD CONSTRAINT %s %s", r->shadow,
                           pawl_carry_quote(b, item->name), item->definition);
            break;
        case PAWL_HANG_STORAGE_OPTIONS:
            pawl_carry_add(b, list, label, "ALTER TABLE %s SET (%s)", r->shadow, item->definition);
            break;
        case PAWL_HANG_TABLESPACE:
            pawl_carry_add(b, list, label, "ALTER TABLE %s SET TABLESPACE %s", r->shadow, item->definition);
            break;
        case PAWL_HANG_OWNER:
            pawl_carry_add(b, list, label, "ALTER TABLE %s OWNER TO %s", r->shadow, item->definition);
            break;
        default:
            break;
    }
}

/* ---- once the rows are there ---------------------------------------------------------------------------------------------- */

/* On the table's own tablespace the index goes where it was. */
static const char *
in_tablespace(rewrite *r, const pawl_hang *item)
{
    PAWL_STRBUF_AUTO(text);

    if (item->tablespace == NULL || item->tablespace[0] == '\0')
        return "SET LOCAL default_tablespace = ''";
    pawl_strbuf_addf(&text, "SET LOCAL default_tablespace = %s", item->tablespace);
    const char *kept = pawl_strbuf_is_ok(&text) ? pawl_arena_strdup(r->b.arena, text.data) : NULL;

    if (kept == NULL)
        r->b.failed = true;
    return kept == NULL ? "" : kept;
}

/* An index and where it stands; its unit, NULL without memory. */
typedef struct index_plan
{
    pawl_carry_list *list;
    const pawl_hang *item; /* NULL: of nothing that the old table has */
    const char *what;
    const char *name; /* plain */
    const char *tail;
    bool is_unique;
} index_plan;

static void
build_index(rewrite *r, const index_plan *plan)
{
    pawl_carry_builder *b = &r->b;
    const char *tablespace =
        plan->item != NULL ? in_tablespace(r, plan->item) : "SET LOCAL default_tablespace = ''";
    pawl_carry_unit *unit = pawl_carry_add(b, plan->list, plan->what, "%s", tablespace);

    pawl_carry_more(b, unit, "CREATE %sINDEX %s ON %s %s", plan->is_unique ? "UNIQUE " : "",
                    pawl_carry_quote(b, plan->name), r->shadow, plan->tail);
    pawl_carry_probe_by(unit, PAWL_CARRY_PROBE_INDEX, r->shadow, plan->name);
    if (unit != NULL)
        unit->is_build = true;
}

/* Its index first, beside those of others; ADD CONSTRAINT alone would lock them out for as long as it builds. */
static void
build_constraint(rewrite *r, const index_plan *plan, const char *kind)
{
    pawl_carry_builder *b = &r->b;
    const char *name = pawl_carry_quote(b, plan->name);
    bool is_deferrable = plan->item != NULL && pawl_hang_has(plan->item, "deferrable");
    bool is_deferred = plan->item != NULL && pawl_hang_has(plan->item, "deferred");
    pawl_carry_unit *unit;

    build_index(r, plan);
    unit = pawl_carry_add(b, plan->list, plan->what, "ALTER TABLE %s ADD CONSTRAINT %s %s USING INDEX %s%s%s",
                          r->shadow, name, kind, name, is_deferrable ? " DEFERRABLE" : "",
                          is_deferred ? " INITIALLY DEFERRED" : "");
    pawl_carry_probe_by(unit, PAWL_CARRY_PROBE_CONSTRAINT, r->shadow, plan->name);
}

/* On a partitioned table a constraint cannot take an index that is there. */
static void
add_constraint(rewrite *r, const pawl_hang *item)
{
    pawl_carry_builder *b = &r->b;
    const char *temporary = pawl_carry_temporary(b, item);
    bool is_new = item->kind == PAWL_HANG_PRIMARY_KEY && r->spec->primary_key != NULL;
    pawl_carry_unit *unit = in_list(r, &b->carry->index, item, in_tablespace(r, item));

    pawl_carry_more(b, unit, "ALTER TABLE %s ADD CONSTRAINT %s %s%s", r->shadow,
                    pawl_carry_quote(b, temporary), is_new ? "PRIMARY KEY " : "",
                    is_new ? r->spec->primary_key : item->definition);
    pawl_carry_probe_by(unit, PAWL_CARRY_PROBE_CONSTRAINT, r->shadow, temporary);
}

static void
add_key(rewrite *r)
{
    const pawl_carry_rewrite_spec *spec = r->spec;
    index_plan plan = {.list = &r->b.carry->key,
                       .what = "the key of the new table",
                       .name = spec->key_name,
                       .tail = spec->key_columns,
                       .is_unique = spec->has_key};

    for (size_t i = 0; i < r->b.hanging->nitems && spec->has_key && spec->primary_key == NULL; i++)
    {
        const pawl_hang *item = &r->b.hanging->items[i];

        if (!pawl_carry_is_carried(item, PAWL_HANG_PRIMARY_KEY))
            continue;
        plan.item = item;
        plan.tail = item->tail;
    }
    if (spec->has_key)
        build_constraint(r, &plan, "PRIMARY KEY");
    else
        build_index(r, &plan);
}

static void
index_item(rewrite *r, const pawl_hang *item)
{
    pawl_carry_builder *b = &r->b;
    const char *temporary = pawl_carry_temporary(b, item);
    const char *name = pawl_carry_quote(b, temporary);
    bool is_constraint = item->kind == PAWL_HANG_PRIMARY_KEY || item->kind == PAWL_HANG_UNIQUE;
    index_plan plan = {.list = &b->carry->index,
                       .item = item,
                       .what = pawl_carry_label(b, item),
                       .name = temporary,
                       .tail = item->tail,
                       .is_unique = is_constraint || pawl_hang_has(item, "unique")};
    pawl_carry_unit *unit = NULL;

    if (is_constraint && r->spec->is_partitioned)
    {
        add_constraint(r, item);
        return;
    }
    switch ((int) item->kind)
    {
        case PAWL_HANG_INDEX:
            build_index(r, &plan);
            break;
        case PAWL_HANG_PRIMARY_KEY:
            plan.tail = r->spec->primary_key != NULL ? r->spec->primary_key : item->tail;
            if (!r->spec->has_key)
                build_constraint(r, &plan, "PRIMARY KEY");
            break;
        case PAWL_HANG_UNIQUE:
            build_constraint(r, &plan, "UNIQUE");
            break;
        case PAWL_HANG_EXCLUSION:
            unit = in_list(r, &b->carry->index, item, in_tablespace(r, item));
            pawl_carry_more(b, unit, "ALTER TABLE %s ADD CONSTRAINT %s %s", r->shadow, name,
                            item->definition);
            pawl_carry_probe_by(unit, PAWL_CARRY_PROBE_CONSTRAINT, r->shadow, temporary);
            break;
        case PAWL_HANG_STATISTICS:
            pawl_carry_make_statistics(b, item, item->tail, r->shadow);
            break;
        default:
            break;
    }
}

/* ---- in the cut-over -------------------------------------------------------------------------------------------------------- */

/* What it is called on the table that was left behind, by the word for which way that was; however it is defined. */
static const char *
left_name(rewrite *r, const char *word, const pawl_hang *item)
{
    const char *what = pawl_arena_fmt(r->b.arena, "%s %s %s.%s %s", word, pawl_hang_kind_key(item->kind),
                                      item->schema, item->name, item->relation);
    const char *name = what == NULL ? NULL : pawl_carry_name(r->b.job, what, r->b.arena);

    if (name == NULL)
        r->b.failed = true;
    return name == NULL ? "" : name;
}

/* The old names are needed: what bears them gets others. Triggers and rules of the old table act on nothing any more. */
static void
leave_item(rewrite *r, const pawl_hang *item)
{
    pawl_carry_builder *b = &r->b;
    pawl_carry_list *list = &b->carry->cutover;
    const char *label = pawl_carry_label(b, item);
    const char *name = pawl_carry_quote(b, item->name);
    const char *old = pawl_carry_quote(b, left_name(r, r->left, item));

    switch ((int) item->kind)
    {
        case PAWL_HANG_INDEX:
            pawl_carry_add(b, list, label, "ALTER INDEX %s.%s RENAME TO %s", b->schema, name, old);
            break;
        case PAWL_HANG_PRIMARY_KEY:
        case PAWL_HANG_UNIQUE:
        case PAWL_HANG_EXCLUSION:
            pawl_carry_add(b, list, label, "ALTER TABLE %s RENAME CONSTRAINT %s TO %s", b->table, name, old);
            break;
        case PAWL_HANG_STATISTICS:
            pawl_carry_add(b, list, label, "ALTER STATISTICS %s.%s RENAME TO %s",
                           pawl_carry_quote(b, item->schema), name, old);
            break;
        case PAWL_HANG_TRIGGER:
            pawl_carry_add(b, list, label, "DROP TRIGGER %s ON %s", name, b->table);
            break;
        case PAWL_HANG_RULE:
            pawl_carry_add(b, list, label, "DROP RULE %s ON %s", name, b->table);
            break;
        case PAWL_HANG_PUBLICATION:
            pawl_carry_add(b, list, label, "ALTER PUBLICATION %s DROP TABLE %s", name, b->table);
            break;
        case PAWL_HANG_IDENTITY:
            pawl_carry_drop_identity(b, item);
            break;
        default:
            break;
    }
}

static const char *
enabled_word(const pawl_hang *item)
{
    if (pawl_hang_has(item, "disabled"))
        return "DISABLE";
    if (pawl_hang_has(item, "always"))
        return "ENABLE ALWAYS";
    return pawl_hang_has(item, "replica") ? "ENABLE REPLICA" : NULL;
}

static void
enable(rewrite *r, const pawl_hang *item, const char *what)
{
    const char *word = enabled_word(item);

    if (word != NULL)
        pawl_carry_add(&r->b, &r->b.carry->cutover, pawl_carry_label(&r->b, item), "ALTER TABLE %s %s %s %s",
                       r->b.table, word, what, pawl_carry_quote(&r->b, item->name));
}

static void
place_constraint(rewrite *r, const pawl_hang *item)
{
    pawl_carry_builder *b = &r->b;
    const char *temporary = item->kind == PAWL_HANG_PRIMARY_KEY && r->spec->has_key
                                ? r->spec->key_name
                                : pawl_carry_temporary(b, item);

    pawl_carry_add(b, &b->carry->cutover, pawl_carry_label(b, item),
                   "ALTER TABLE %s RENAME CONSTRAINT %s TO %s", b->table, pawl_carry_quote(b, temporary),
                   pawl_carry_quote(b, item->name));
    pawl_carry_add_comment(b, item);
}

/* What hangs on the table by its name, which is the new table's now; indexes have theirs before replica identity. */
static void
place_item(rewrite *r, const pawl_hang *item)
{
    pawl_carry_builder *b = &r->b;
    pawl_carry_list *list = &b->carry->cutover;
    const char *label = pawl_carry_label(b, item);

    switch ((int) item->kind)
    {
        case PAWL_HANG_INDEX:
            pawl_carry_add(b, list, label, "ALTER INDEX %s.%s RENAME TO %s", b->schema,
                           pawl_carry_quote(b, pawl_carry_temporary(b, item)),
                           pawl_carry_quote(b, item->name));
            pawl_carry_add_comment(b, item);
            break;
        case PAWL_HANG_PRIMARY_KEY:
        case PAWL_HANG_UNIQUE:
        case PAWL_HANG_EXCLUSION:
            place_constraint(r, item);
            break;
        case PAWL_HANG_CHECK:
            pawl_carry_add_comment(b, item);
            break;
        case PAWL_HANG_STATISTICS:
            pawl_carry_place_statistics(b, item);
            break;
        case PAWL_HANG_TRIGGER:
            in_list(r, list, item, item->definition);
            enable(r, item, "TRIGGER");
            pawl_carry_add_comment(b, item);
            break;
        case PAWL_HANG_RULE:
            in_list(r, list, item, item->definition);
            enable(r, item, "RULE");
            pawl_carry_add_comment(b, item);
            break;
        case PAWL_HANG_POLICY:
            in_list(r, list, item, item->definition);
            pawl_carry_add_comment(b, item);
            break;
        case PAWL_HANG_ROW_SECURITY:
            pawl_carry_add(b, list, label, "ALTER TABLE %s %s ROW LEVEL SECURITY", b->table,
                           item->definition);
            break;
        case PAWL_HANG_PRIVILEGE:
        case PAWL_HANG_COLUMN_PRIVILEGE:
        case PAWL_HANG_SECURITY_LABEL:
        case PAWL_HANG_PUBLICATION:
            in_list(r, list, item, item->definition);
            break;
        case PAWL_HANG_FOREIGN_KEY:
        case PAWL_HANG_REFERENCED_BY:
            pawl_carry_add_late_key(b, item);
            break;
        case PAWL_HANG_REPLICA_IDENTITY:
            pawl_carry_add(b, list, label, "ALTER TABLE %s REPLICA IDENTITY %s", b->table, item->definition);
            break;
        case PAWL_HANG_CLUSTER:
            pawl_carry_add(b, list, label, "ALTER TABLE %s CLUSTER ON %s", b->table, item->definition);
            break;
        case PAWL_HANG_IDENTITY:
            pawl_carry_make_identity(b, item);
            break;
        case PAWL_HANG_SEQUENCE:
            pawl_carry_own_sequence(b, item);
            break;
        default:
            break;
    }
}

/* What is said of an index under its name: when all have theirs. */
static void
place_part(rewrite *r, const pawl_hang *item)
{
    if (item->kind == PAWL_HANG_INDEX_PART)
        in_list(r, &r->b.carry->cutover, item, item->definition);
}

static bool
has_kind(const rewrite *r, pawl_hang_kind kind)
{
    for (size_t i = 0; i < r->b.hanging->nitems; i++)
        if (pawl_carry_is_carried(&r->b.hanging->items[i], kind))
            return true;
    return false;
}

/* Where there are no privileges to be given, those of the owner are the server's own. */
static void
forget_privileges(rewrite *r)
{
    pawl_carry_owner owner =
        has_kind(r, PAWL_HANG_PRIVILEGE) ? PAWL_CARRY_OWNER_LOSES_ALL : PAWL_CARRY_OWNER_STAYS;

    pawl_carry_forget_privileges(&r->b, "privileges", "TABLE", r->b.table, owner);
}

static void
cut_over(rewrite *r)
{
    pawl_carry_builder *b = &r->b;
    pawl_carry_list *list = &b->carry->cutover;

    pawl_carry_drop_views(b);
    pawl_carry_drop_keys(b);
    each(r, leave_item);
    pawl_carry_add(b, list, "the old table", "ALTER TABLE %s RENAME TO %s", b->table,
                   pawl_carry_quote(b, r->spec->kept));
    pawl_carry_add(b, list, "the new table", "ALTER TABLE %s RENAME TO %s", r->shadow,
                   pawl_carry_quote(b, b->hanging->table));
    forget_privileges(r);
    each(r, place_item);
    each(r, place_part);
    pawl_carry_make_views(b);
    if (!r->spec->has_key && !r->spec->keeps_key)
        pawl_carry_add(b, &b->carry->after, "the index that the drain used", "DROP INDEX IF EXISTS %s.%s",
                       b->schema, pawl_carry_quote(b, r->spec->key_name));
}

pawl_status
pawl_carry_rewrite(pawl_hanging *hanging, const pawl_carry_rewrite_spec *spec, pawl_arena *arena,
                   pawl_carry **out, pawl_error *err)
{
    rewrite r = {.spec = spec, .left = "old"};
    pawl_status st = pawl_carry_begin(&r.b, hanging, spec->job, arena, err);

    if (st != PAWL_OK)
        return st;
    r.shadow = pawl_arena_fmt(arena, "%s.%s", r.b.schema, pawl_carry_quote(&r.b, spec->shadow));
    if (r.shadow == NULL)
        return pawl_error_nomem(err, "what is carried over");
    pawl_carry_know(&r.b, spec->key_name);
    each(&r, prepare_item);
    add_key(&r);
    each(&r, index_item);
    pawl_carry_lock_views(&r.b);
    pawl_carry_lock(&r.b);
    cut_over(&r);
    if ((st = pawl_carry_keep(&r.b, err)) != PAWL_OK)
        return st;
    *out = r.b.carry;
    return PAWL_OK;
}

/* ---- the way back ----------------------------------------------------------------------------------------------------------- */

/* What has a name gets it again; what was dropped because it acts is made again. The rest never left the old table. */
static void
return_item(rewrite *r, const pawl_hang *item)
{
    pawl_carry_builder *b = &r->b;
    pawl_carry_list *list = &b->carry->cutover;
    const char *label = pawl_carry_label(b, item);
    const char *name = pawl_carry_quote(b, item->name);
    const char *old = pawl_carry_quote(b, left_name(r, "old", item));

    switch ((int) item->kind)
    {
        case PAWL_HANG_INDEX:
            pawl_carry_add(b, list, label, "ALTER INDEX %s.%s RENAME TO %s", b->schema, old, name);
            break;
        case PAWL_HANG_PRIMARY_KEY:
        case PAWL_HANG_UNIQUE:
        case PAWL_HANG_EXCLUSION:
            pawl_carry_add(b, list, label, "ALTER TABLE %s RENAME CONSTRAINT %s TO %s", b->table, old, name);
            break;
        case PAWL_HANG_STATISTICS:
            pawl_carry_add(b, list, label, "ALTER STATISTICS %s.%s RENAME TO %s",
                           pawl_carry_quote(b, item->schema), old, name);
            break;
        case PAWL_HANG_COLUMN_PRIVILEGE:
            in_list(r, list, item, item->definition);
            break;
        case PAWL_HANG_TRIGGER:
        case PAWL_HANG_RULE:
        case PAWL_HANG_PUBLICATION:
        case PAWL_HANG_FOREIGN_KEY:
        case PAWL_HANG_REFERENCED_BY:
        case PAWL_HANG_IDENTITY:
        case PAWL_HANG_SEQUENCE:
            place_item(r, item);
            break;
        default:
            break;
    }
}

static void
return_privilege(rewrite *r, const pawl_hang *item)
{
    if (item->kind == PAWL_HANG_PRIVILEGE)
        place_item(r, item);
}

static void
cut_back(rewrite *r, const pawl_carry *saved)
{
    pawl_carry_builder *b = &r->b;
    pawl_carry_list *list = &b->carry->cutover;
    pawl_hanging *now = b->hanging;
    pawl_hanging was = *now;

    pawl_carry_drop_views(b);
    pawl_carry_drop_keys(b);
    each(r, leave_item);
    pawl_carry_add(b, list, "the new table", "ALTER TABLE %s RENAME TO %s", b->table,
                   pawl_carry_quote(b, r->spec->kept));
    pawl_carry_add(b, list, "the old table", "ALTER TABLE %s RENAME TO %s", r->shadow,
                   pawl_carry_quote(b, b->hanging->table));
    forget_privileges(r);
    each(r, return_privilege);
    was.items = pawl_arena_array(b->arena, saved->nsaved, sizeof *was.items);
    if (was.items == NULL)
    {
        b->failed = true;
        return;
    }
    was.nitems = saved->nsaved;
    if (saved->nsaved > 0)
        memcpy(was.items, saved->saved, saved->nsaved * sizeof *was.items);
    b->hanging = &was;
    each(r, return_item);
    pawl_carry_make_views(b);
    b->hanging = now;
}

pawl_status
pawl_carry_rewrite_back(pawl_hanging *now, const pawl_carry_rewrite_spec *spec, const pawl_carry *saved,
                        pawl_arena *arena, pawl_carry **out, pawl_error *err)
{
    rewrite r = {.spec = spec, .left = "new"};
    pawl_status st = pawl_carry_begin(&r.b, now, spec->job, arena, err);

    if (st != PAWL_OK)
        return st;
    r.shadow = pawl_arena_fmt(arena, "%s.%s", r.b.schema, pawl_carry_quote(&r.b, spec->shadow));
    if (r.shadow == NULL)
        return pawl_error_nomem(err, "what is carried over");
    pawl_carry_lock_views(&r.b);
    pawl_carry_add(&r.b, &r.b.carry->locks, "the old table", "LOCK TABLE %s IN ACCESS EXCLUSIVE MODE",
                   r.shadow);
    pawl_carry_lock(&r.b);
    cut_back(&r, saved);
    if (r.b.failed)
        return pawl_error_nomem(err, "what is carried over");
    *out = r.b.carry;
    return PAWL_OK;
}
