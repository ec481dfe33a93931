/* Statements that a swap and a rewrite have in common. Those of the cut-over are under the names of the end. */
#include <string.h>

#include "online/carry_private.h"

#include "util/banned.h"

bool
pawl_carry_is_carried(const pawl_hang *item, pawl_hang_kind kind)
{
    return item->kind == kind && item->fate == PAWL_FATE_CARRIED;
}

const char *
pawl_carry_not_valid(const pawl_hang *item)
{
    return pawl_hang_has(item, "not_valid") ? "" : " NOT VALID";
}

/* ---- comments --------------------------------------------------------------------------------------------------- */

void
pawl_carry_add_comment(pawl_carry_builder *b, const pawl_hang *item)
{
    const char *name = pawl_carry_quote(b, item->name);
    const char *text;

    if (item->comment == NULL)
        return;
    text = pawl_carry_text(b, item->comment);
    switch ((int) item->kind)
    {
        case PAWL_HANG_INDEX:
            pawl_carry_add(b, &b->carry->cutover, pawl_carry_label(b, item), "COMMENT ON INDEX %s.%s IS %s",
                           b->schema, name, text);
            break;
        case PAWL_HANG_STATISTICS:
            pawl_carry_add(b, &b->carry->cutover, pawl_carry_label(b, item),
                           "COMMENT ON STATISTICS %s.%s IS %s", pawl_carry_quote(b, item->schema), name,
                           text);
            break;
        case PAWL_HANG_IDENTITY:
            pawl_carry_add(b, &b->carry->cutover, pawl_carry_label(b, item), "COMMENT ON SEQUENCE %s IS %s",
                           item->relation, text);
            break;
        case PAWL_HANG_RULE:
        case PAWL_HANG_POLICY:
        case PAWL_HANG_TRIGGER:
            pawl_carry_add(b, &b->carry->cutover, pawl_carry_label(b, item), "COMMENT ON %s %s ON %s IS %s",
                           item->kind == PAWL_HANG_RULE     ? "RULE"
                           : item->kind == PAWL_HANG_POLICY ? "POLICY"
                                                            : "TRIGGER",
                           name, b->table, text);
            break;
        default:
            pawl_carry_add(b, &b->carry->cutover, pawl_carry_label(b, item),
                           "COMMENT ON CONSTRAINT %s ON %s IS %s", name,
                           item->kind == PAWL_HANG_REFERENCED_BY ? item->relation : b->table, text);
            break;
    }
}

/* ---- indexes and statistics ------------------------------------------------------------------------------------- */

/* The index that was built under a temporary name becomes what it is for. */
void
pawl_carry_place_index(pawl_carry_builder *b, const pawl_hang *item)
{
    const char *label = pawl_carry_label(b, item);
    const char *name = pawl_carry_quote(b, item->name);
    const char *temporary = pawl_carry_quote(b, pawl_carry_temporary(b, item));

    if (item->kind == PAWL_HANG_INDEX)
        pawl_carry_add(b, &b->carry->cutover, label, "ALTER INDEX %s.%s RENAME TO %s", b->schema, temporary,
                       name);
    else
        pawl_carry_add(b, &b->carry->cutover, label, "ALTER TABLE %s ADD CONSTRAINT %s %s USING INDEX %s%s%s",
                       b->table, name, item->kind == PAWL_HANG_PRIMARY_KEY ? "PRIMARY KEY" : "UNIQUE",
                       temporary, pawl_hang_has(item, "deferrable") ? " DEFERRABLE" : "",
                       pawl_hang_has(item, "deferred") ? " INITIALLY DEFERRED" : "");
    if (pawl_hang_has(item, "clustered"))
        pawl_carry_add(b, &b->carry->cutover, label, "ALTER TABLE %s CLUSTER ON %s", b->table, name);
    if (pawl_hang_has(item, "replica_identity"))
        pawl_carry_add(b, &b->carry->cutover, label, "ALTER TABLE %s REPLICA IDENTITY USING INDEX %s",
                       b->table, name);
    pawl_carry_add_comment(b, item);
}

void
pawl_carry_make_statistics(pawl_carry_builder *b, const pawl_hang *item, const char *tail, const char *table)
{
    const char *temporary = pawl_carry_temporary(b, item);
    const char *name = pawl_carry_quote(b, temporary);
    const char *target = strstr(item->flags, "target=");
    pawl_carry_unit *unit = pawl_carry_add(b, &b->carry->index, pawl_carry_label(b, item),
                                           "CREATE STATISTICS %s.%s%s FROM %s", b->schema, name, tail, table);

    pawl_carry_probe_by(unit, PAWL_CARRY_PROBE_STATISTICS, table, temporary);
    if (target != NULL)
        pawl_carry_more(b, unit, "ALTER STATISTICS %s.%s SET STATISTICS %s", b->schema, name,
                        target + strlen("target="));
    pawl_carry_add(b, &b->carry->undo, pawl_carry_label(b, item), "DROP STATISTICS IF EXISTS %s.%s",
                   b->schema, name);
}

void
pawl_carry_place_statistics(pawl_carry_builder *b, const pawl_hang *item)
{
    const char *label = pawl_carry_label(b, item);
    const char *name = pawl_carry_quote(b, item->name);

    pawl_carry_add(b, &b->carry->cutover, label, "ALTER STATISTICS %s.%s RENAME TO %s", b->schema,
                   pawl_carry_quote(b, pawl_carry_temporary(b, item)), name);
    if (strcmp(item->schema, b->hanging->schema) != 0)
        pawl_carry_add(b, &b->carry->cutover, label, "ALTER STATISTICS %s.%s SET SCHEMA %s", b->schema, name,
                       pawl_carry_quote(b, item->schema));
    pawl_carry_add(b, &b->carry->cutover, label, "ALTER STATISTICS %s.%s OWNER TO %s",
                   pawl_carry_quote(b, item->schema), name, item->tablespace);
    pawl_carry_add_comment(b, item);
}

/* ---- foreign keys ----------------------------------------------------------------------------------------------- */

static bool
is_key(const pawl_hang *item)
{
    return pawl_carry_is_carried(item, PAWL_HANG_FOREIGN_KEY) ||
           pawl_carry_is_carried(item, PAWL_HANG_REFERENCED_BY);
}

void
pawl_carry_drop_keys(pawl_carry_builder *b)
{
    for (size_t i = 0; i < b->hanging->nitems; i++)
    {
        const pawl_hang *item = &b->hanging->items[i];

        if (is_key(item))
            pawl_carry_add(b, &b->carry->cutover, pawl_carry_label(b, item),
                           "ALTER TABLE %s DROP CONSTRAINT %s",
                           item->kind == PAWL_HANG_FOREIGN_KEY ? b->table : item->relation,
                           pawl_carry_quote(b, item->name));
    }
}

void
pawl_carry_validate(pawl_carry_builder *b, pawl_carry_list *list, const pawl_hang *item, const char *relation,
                    const char *name)
{
    if (pawl_hang_has(item, "not_valid"))
        return;
    pawl_carry_probe_by(pawl_carry_add(b, list, pawl_carry_label(b, item),
                                       "ALTER TABLE %s VALIDATE CONSTRAINT %s", relation,
                                       pawl_carry_quote(b, name)),
                        PAWL_CARRY_PROBE_VALIDATED, relation, name);
}

/* Within the cut-over, for those who write from then on; the rows that are there are checked later. */
void
pawl_carry_add_late_key(pawl_carry_builder *b, const pawl_hang *item)
{
    const char *relation = item->kind == PAWL_HANG_REFERENCED_BY ? item->relation : b->table;

    pawl_carry_add(b, &b->carry->cutover, pawl_carry_label(b, item), "ALTER TABLE %s ADD CONSTRAINT %s %s%s",
                   relation, pawl_carry_quote(b, item->name), item->definition, pawl_carry_not_valid(item));
    pawl_carry_validate(b, &b->carry->after, item, relation, item->name);
    pawl_carry_add_comment(b, item);
}

/* ---- locks --------------------------------------------------------------------------------------------------------- */

static bool
is_locked_already(const pawl_carry_builder *b, size_t before, const char *relation)
{
    if (strcmp(relation, b->table) == 0)
        return true;
    for (size_t i = 0; i < before; i++)
        if (is_key(&b->hanging->items[i]) && strcmp(b->hanging->items[i].relation, relation) == 0)
            return true;
    return false;
}

/* One lock with a time-out, the others at once or not at all: so that no session can wait for us while we wait for it. */
void
pawl_carry_lock(pawl_carry_builder *b)
{
    pawl_carry_unit *unit =
        pawl_carry_add(b, &b->carry->locks, "the table", "LOCK TABLE %s IN ACCESS EXCLUSIVE MODE", b->table);

    if (unit != NULL)
        unit->waits_for = b->hanging->oid;
    for (size_t i = 0; i < b->hanging->nitems; i++)
    {
        const pawl_hang *item = &b->hanging->items[i];

        if (is_key(item) && !pawl_hang_has(item, "self") && !is_locked_already(b, i, item->relation))
            pawl_carry_add(b, &b->carry->locks, pawl_carry_label(b, item),
                           "LOCK TABLE %s IN ACCESS EXCLUSIVE MODE NOWAIT", item->relation);
    }
}

/* ---- sequences -------------------------------------------------------------------------------------------------- */

/*
 * DROP IDENTITY takes the sequence along, so where it stood is noted first: behind a lock that keeps nextval out, which
 * is had by setting what is set already (an identity's sequence can be neither locked nor given an owner).
 */
void
pawl_carry_drop_identity(pawl_carry_builder *b, const pawl_hang *item)
{
    const char *label = pawl_carry_label(b, item);
    const char *increment = strstr(item->flags, "increment=");

    pawl_carry_add(b, &b->carry->cutover, label, "ALTER SEQUENCE %s INCREMENT BY %s", item->relation,
                   increment != NULL ? increment + strlen("increment=") : "1");
    pawl_carry_add(b, &b->carry->cutover, label,
                   "SELECT pg_catalog.set_config('pawl.%s', last_value || ' ' || is_called, true) FROM %s",
                   pawl_carry_temporary(b, item), item->relation);
    pawl_carry_add(b, &b->carry->cutover, label, "ALTER TABLE %s ALTER COLUMN %s DROP IDENTITY", b->table,
                   pawl_carry_names(b, item->columns, item->ncolumns, NULL, NULL));
}

void
pawl_carry_forget_privileges(pawl_carry_builder *b, const char *what, const char *type, const char *name,
                             pawl_carry_owner owner)
{
    static const char *const of_owner[] = {
        [PAWL_CARRY_OWNER_STAYS] = "CONTINUE",
        [PAWL_CARRY_OWNER_HAS_ALL] = "verb := 'GRANT ALL ON %s %s TO %s'",
        [PAWL_CARRY_OWNER_LOSES_ALL] = "NULL",
    };
    const char *text = pawl_carry_text(b, name);

    pawl_carry_add(
        b, &b->carry->cutover, what,
        "DO $pawl$ DECLARE g record; verb text; BEGIN FOR g IN SELECT DISTINCT x.grantee, c.relowner FROM "
        "pg_catalog.pg_class c, LATERAL pg_catalog.aclexplode(c.relacl) x WHERE c.oid = "
        "%s::pg_catalog.regclass "
        "LOOP verb := 'REVOKE ALL ON %%s %%s FROM %%s CASCADE'; IF g.grantee = g.relowner THEN %s; END IF; "
        "EXECUTE pg_catalog.format(verb, '%s', %s, CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE "
        "pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(g.grantee)) END); END LOOP; END $pawl$",
        text, of_owner[owner], type, text);
}

void
pawl_carry_make_identity(pawl_carry_builder *b, const pawl_hang *item)
{
    const char *label = pawl_carry_label(b, item);
    const char *setting = pawl_carry_temporary(b, item);

    pawl_carry_add(b, &b->carry->cutover, label,
                   "ALTER TABLE %s ALTER COLUMN %s ADD GENERATED %s AS IDENTITY (SEQUENCE NAME %s %s)",
                   b->table, pawl_carry_names(b, item->columns, item->ncolumns, NULL, NULL), item->definition,
                   item->relation, item->tail);
    pawl_carry_add(b, &b->carry->cutover, label,
                   "SELECT pg_catalog.setval(%s, split_part(current_setting('pawl.%s'), ' ', 1)::bigint, "
                   "split_part(current_setting('pawl.%s'), ' ', 2)::boolean)",
                   pawl_carry_text(b, item->relation), setting, setting);
    pawl_carry_forget_privileges(b, label, "SEQUENCE", item->relation, PAWL_CARRY_OWNER_STAYS);
    for (size_t i = 0; i < b->hanging->nitems; i++)
    {
        const pawl_hang *part = &b->hanging->items[i];

        if (pawl_carry_is_carried(part, PAWL_HANG_SEQUENCE_PART) &&
            strcmp(part->relation, item->relation) == 0)
            pawl_carry_add(b, &b->carry->cutover, label, "%s", part->definition);
    }
    pawl_carry_add_comment(b, item);
}

/* Afterwards: ALTER SEQUENCE under the table's lock has made the application the victim of a deadlock. */
void
pawl_carry_own_sequence(pawl_carry_builder *b, const pawl_hang *item)
{
    pawl_carry_add(b, &b->carry->after, pawl_carry_label(b, item), "ALTER SEQUENCE %s OWNED BY %s.%s",
                   item->relation, b->table, pawl_carry_names(b, item->columns, item->ncolumns, NULL, NULL));
}
