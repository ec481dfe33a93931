/* What becomes of each thing that hangs on a column or a table. */
#include <string.h>

#include "catalog/hanging.h"

#include "util/banned.h"

/* From this version on a partitioned table may have a foreign key that is NOT VALID. */
enum
{
    PARTITIONED_NOT_VALID = 180000,
};

typedef struct fate_of
{
    pawl_hang_fate fates[3]; /* by mode */
    const char *reason;      /* of what is refused or warned of */
    const char *advice;
} fate_of;

#define CARRIED PAWL_FATE_CARRIED
#define WARNING PAWL_FATE_WARNING
#define REFUSED PAWL_FATE_REFUSED
#define NONE    PAWL_FATE_NONE

#define NEEDS_STEP "the new column lags behind until the cut-over, and this must hold at every moment"
#define USE_USING  "use `using:` with an SQL expression, which keeps the new column in step"

static const fate_of table_of_fates[PAWL_HANG_KINDS] = {
    [PAWL_HANG_COLUMN] = {{NONE, NONE, NONE}, "", ""},
    [PAWL_HANG_DEFAULT] = {{CARRIED, CARRIED, CARRIED}, "", ""},
    [PAWL_HANG_NOT_NULL] = {{CARRIED, CARRIED, CARRIED}, "", ""},
    [PAWL_HANG_IDENTITY] = {{REFUSED, CARRIED, CARRIED}, NEEDS_STEP, USE_USING},
    [PAWL_HANG_SEQUENCE] = {{CARRIED, CARRIED, CARRIED}, "", ""},
    [PAWL_HANG_SEQUENCE_PART] = {{CARRIED, CARRIED, CARRIED}, "", ""},
    [PAWL_HANG_GENERATED] = {{REFUSED, REFUSED, CARRIED},
                             "its expression would go on reading the old column",
                             "drop it before the swap and add it again afterwards"},
    [PAWL_HANG_STATISTICS_TARGET] = {{CARRIED, CARRIED, CARRIED}, "", ""},
    [PAWL_HANG_STORAGE] = {{CARRIED, CARRIED, CARRIED}, "", ""},
    [PAWL_HANG_COMPRESSION] = {{CARRIED, CARRIED, CARRIED}, "", ""},
    [PAWL_HANG_OPTIONS] = {{CARRIED, CARRIED, CARRIED}, "", ""},
    [PAWL_HANG_COLUMN_PRIVILEGE] = {{CARRIED, CARRIED, CARRIED}, "", ""},
    [PAWL_HANG_COLUMN_COMMENT] = {{CARRIED, CARRIED, CARRIED}, "", ""},
    [PAWL_HANG_PARTITION_KEY] = {{REFUSED, REFUSED, REFUSED},
                                 "the rows are spread over the partitions by the old column",
                                 "make a new table with the partitions that you want and move the rows"},
    [PAWL_HANG_PRIMARY_KEY] = {{REFUSED, CARRIED, CARRIED}, NEEDS_STEP, USE_USING},
    [PAWL_HANG_UNIQUE] = {{CARRIED, CARRIED, CARRIED}, "", ""},
    [PAWL_HANG_EXCLUSION] = {{REFUSED, REFUSED, CARRIED},
                             "PostgreSQL cannot build an exclusion constraint without blocking the writers",
                             "drop it before the swap and add it again afterwards"},
    [PAWL_HANG_CHECK] = {{CARRIED, CARRIED, CARRIED}, "", ""},
    [PAWL_HANG_FOREIGN_KEY] = {{CARRIED, CARRIED, CARRIED}, "", ""},
    [PAWL_HANG_REFERENCED_BY] = {{REFUSED, CARRIED, CARRIED}, NEEDS_STEP, USE_USING},
    [PAWL_HANG_INDEX] = {{CARRIED, CARRIED, CARRIED}, "", ""},
    [PAWL_HANG_INDEX_PART] = {{CARRIED, CARRIED, CARRIED}, "", ""},
    [PAWL_HANG_STATISTICS] = {{CARRIED, CARRIED, CARRIED}, "", ""},
    [PAWL_HANG_VIEW] = {{REFUSED, REFUSED, REFUSED},
                        "it would go on reading the old one",
                        "`views: recreate` makes it anew within the cut-over"},
    [PAWL_HANG_MATVIEW] = {{REFUSED, REFUSED, REFUSED},
                           "it would go on reading the old one, and to fill a new one takes long",
                           "drop it before and create it again afterwards"},
    [PAWL_HANG_VIEW_PART] = {{NONE, NONE, NONE}, "", ""},
    [PAWL_HANG_ON_VIEW] = {{NONE, NONE, NONE},
                           "it depends on a view that is made anew, and would stand in the way or go with it",
                           "drop it before and create it again afterwards"},
    [PAWL_HANG_RULE] = {{REFUSED, REFUSED, CARRIED},
                        "it would go on using the old column",
                        "drop the rule before the swap and create it again afterwards"},
    [PAWL_HANG_POLICY] = {{REFUSED, REFUSED, CARRIED},
                          "it would go on reading the old column",
                          "drop the policy before the swap and create it again afterwards"},
    [PAWL_HANG_TRIGGER] = {{REFUSED, REFUSED, CARRIED},
                           "its UPDATE OF or WHEN would go on meaning the old column",
                           "drop the trigger before the swap and create it again afterwards"},
    [PAWL_HANG_FUNCTION] = {{REFUSED, REFUSED, REFUSED},
                            "its body (BEGIN ATOMIC) would go on using the old one",
                            "drop the function before and create it again afterwards"},
    [PAWL_HANG_FUNCTION_BODY] =
        {{WARNING, WARNING, WARNING},
         "its text names the column: it runs on with what has that name then",
         "look whether it can do with the new type; sessions that have it compiled keep a "
         "%TYPE until they end"},
    [PAWL_HANG_PUBLICATION] = {{REFUSED, REFUSED, REFUSED},
                               "its subscribers stop when a column or table appears that they do not have",
                               "change the subscribers first and say `subscribers_ready: true`"},
    [PAWL_HANG_PUBLICATION_FILTER] =
        {{REFUSED, REFUSED, REFUSED},
         "it would go on reading the old column",
         "take the table out of the publication before and put it back afterwards"},
    [PAWL_HANG_PUBLICATION_WIDE] =
        {{REFUSED, REFUSED, REFUSED},
         "it publishes pawl's own tables and the new column too: its subscribers stop",
         "change the subscribers first and say `subscribers_ready: true`"},
    [PAWL_HANG_SUBSCRIPTION] = {{WARNING, WARNING, REFUSED},
                                "the table is filled by it, by the names of its columns",
                                "rewrite the table where it is written, and set the subscription up again"},
    [PAWL_HANG_INHERITANCE] = {{REFUSED, REFUSED, REFUSED},
                               "columns of inherited tables belong together",
                               "this version swaps columns of, and rewrites, tables that stand alone"},
    [PAWL_HANG_PARTITIONED] = {{REFUSED, REFUSED, REFUSED},
                               "its indexes cannot be built without blocking the writers",
                               "this version swaps columns of, and rewrites, plain tables"},
    [PAWL_HANG_TYPED] = {{REFUSED, REFUSED, REFUSED},
                         "its columns are those of the type",
                         "ALTER TABLE ... NOT OF makes it a table of its own"},
    [PAWL_HANG_ROW_TYPE] = {{WARNING, WARNING, REFUSED},
                            "it uses whole rows of the table",
                            "look whether it can do with another type, or another order, of the columns"},
    [PAWL_HANG_EXTENSION] = {{REFUSED, REFUSED, REFUSED},
                             "the table belongs to the extension",
                             "change it by an update of the extension"},
    [PAWL_HANG_OWNER] = {{NONE, NONE, CARRIED}, "", ""},
    [PAWL_HANG_PRIVILEGE] = {{NONE, NONE, CARRIED}, "", ""},
    [PAWL_HANG_COMMENT] = {{NONE, NONE, CARRIED}, "", ""},
    [PAWL_HANG_SECURITY_LABEL] = {{CARRIED, CARRIED, CARRIED}, "", ""},
    [PAWL_HANG_STORAGE_OPTIONS] = {{NONE, NONE, CARRIED}, "", ""},
    [PAWL_HANG_TABLESPACE] = {{NONE, NONE, CARRIED}, "", ""},
    [PAWL_HANG_ACCESS_METHOD] = {{NONE, NONE, CARRIED}, "", ""},
    [PAWL_HANG_PERSISTENCE] = {{NONE, NONE, CARRIED}, "", ""},
    [PAWL_HANG_ROW_SECURITY] = {{NONE, NONE, CARRIED}, "", ""},
    [PAWL_HANG_REPLICA_IDENTITY] = {{NONE, NONE, CARRIED}, "", ""},
    [PAWL_HANG_CLUSTER] = {{NONE, NONE, CARRIED}, "", ""},
    [PAWL_HANG_OTHER] = {{REFUSED, REFUSED, REFUSED},
                         "pawl does not know how to carry it over",
                         "drop it before and create it again afterwards"},
};

static void
refuse(pawl_hang *item, const char *reason, const char *advice)
{
    item->fate = REFUSED;
    item->reason = reason;
    item->advice = advice;
}

/* ---- what a kind alone does not decide -------------------------------------------------------------------------- */

static bool
is_unique_index(const pawl_hang *item)
{
    return item->kind == PAWL_HANG_UNIQUE || (item->kind == PAWL_HANG_INDEX && pawl_hang_has(item, "unique"));
}

/*
 * While the new column lags behind, a unique index on it and on others may see a pair that never was: the application
 * sets the other column of a row whose new value is still the old one. Alone, the new column is written by us only.
 */
static void
judge_lagging_index(pawl_hang *item)
{
    if (pawl_hang_has(item, "nulls_not_distinct"))
        refuse(item, "NULLs are equal in it, and the new column is NULL until it is filled", USE_USING);
    else if (item->ncolumns > 1 || pawl_hang_has(item, "partial"))
        refuse(
            item,
            "it is unique over other columns too: while the new one lags behind, a write of the application "
            "could fail that is right",
            USE_USING);
    else if (pawl_hang_has(item, "replica_identity"))
        refuse(item, "it is the replica identity, which demands NOT NULL at every moment", USE_USING);
}

static void
judge_index(pawl_hang *item, const pawl_hang_options *options)
{
    if (pawl_hang_has(item, "invalid"))
    {
        item->fate = WARNING;
        item->reason = "it is invalid, left by an index build that was interrupted, and stays behind";
        item->advice = "drop it, or build it anew before";
        return;
    }
    if (item->tail[0] == '\0')
        refuse(item, "its definition could not be taken apart",
               "drop it before and create it again afterwards");
    else if (options->mode == PAWL_HANG_SWAP_CAPTURED && is_unique_index(item))
        judge_lagging_index(item);
}

static void
judge_foreign_key(const pawl_hanging *hanging, pawl_hang *item, const pawl_hang_options *options)
{
    if (pawl_hang_has(item, "unknown"))
        refuse(item, "its definition could not be taken apart", "drop it before and add it again afterwards");
    else if (item->kind == PAWL_HANG_REFERENCED_BY && pawl_hang_has(item, "partitioned") &&
             hanging->server_version < PARTITIONED_NOT_VALID)
        refuse(item, "before PostgreSQL 18 a partitioned table cannot have a foreign key that is NOT VALID",
               "drop it before and add it again afterwards, which reads the whole table under a lock");
    else if (options->mode == PAWL_HANG_SWAP_CAPTURED && pawl_hang_has(item, "self") &&
             item->nothers < item->ncolumns)
    {
        /* Within the table: the column may be the one referred to, and that must be in step. */
        for (size_t i = item->nothers; i < item->ncolumns; i++)
            if (strcmp(item->columns[i], options->column) == 0)
                refuse(item, NEEDS_STEP, USE_USING);
    }
}

static void
judge_publication(pawl_hang *item, const pawl_hang_options *options)
{
    bool is_swap = options->mode != PAWL_HANG_REWRITE;

    if (item->kind == PAWL_HANG_PUBLICATION && is_swap && item->ncolumns > 0)
        refuse(item, "its column list would go on naming the old column",
               "take the table out of the publication before and put it back afterwards");
    else if (options->subscribers_ready)
        item->fate = item->kind == PAWL_HANG_PUBLICATION && !is_swap ? CARRIED : NONE;
}

/* What the server would refuse in the cut-over is said beforehand. */
static void
judge_view(pawl_hang *item, const pawl_hang_options *options)
{
    if (!options->recreate_views)
        return;
    item->fate = CARRIED;
    if (pawl_hang_has(item, "temporary"))
        refuse(item, "it is a temporary view of some session", "drop it there, or end that session");
    else if (pawl_hang_has(item, "extension"))
        refuse(item, "it belongs to an extension", "change it by an update of the extension");
    else if (pawl_hang_has(item, "not_owner"))
        refuse(item, "it belongs to a role that this one is no member of, and could not be given back",
               "GRANT the view's owner to the role that pawl runs as, or run it as a superuser");
    else if (pawl_hang_has(item, "no_create"))
        refuse(item, "this role, or the view's owner, may not create in its schema",
               "GRANT CREATE ON SCHEMA to both, the view's owner and the role that pawl runs as");
}

static bool
fires_behind(const pawl_hang *item, const pawl_hang_options *options)
{
    return options->keeps_in_step && item->kind == PAWL_HANG_TRIGGER && pawl_hang_has(item, "behind") &&
           !pawl_hang_has(item, "disabled");
}

static void
judge_special(const pawl_hanging *hanging, pawl_hang *item, const pawl_hang_options *options)
{
    switch ((int) item->kind)
    {
        case PAWL_HANG_INDEX:
        case PAWL_HANG_UNIQUE:
        case PAWL_HANG_PRIMARY_KEY:
            judge_index(item, options);
            break;
        case PAWL_HANG_FOREIGN_KEY:
        case PAWL_HANG_REFERENCED_BY:
            judge_foreign_key(hanging, item, options);
            break;
        case PAWL_HANG_STATISTICS:
            if (item->tail[0] == '\0')
                refuse(item, "its definition could not be taken apart",
                       "drop it before and create it again afterwards");
            break;
        case PAWL_HANG_PUBLICATION:
        case PAWL_HANG_PUBLICATION_WIDE:
            judge_publication(item, options);
            break;
        case PAWL_HANG_VIEW:
            judge_view(item, options);
            break;
        case PAWL_HANG_VIEW_PART:
            if (options->recreate_views)
                item->fate = CARRIED;
            break;
        case PAWL_HANG_ON_VIEW:
            if (options->recreate_views)
                item->fate = REFUSED;
            break;
        case PAWL_HANG_TRIGGER:
            if (fires_behind(item, options) && !pawl_hang_has_column(item, options->column))
                refuse(item,
                       "it fires behind the trigger that keeps the other column in step, which would not see "
                       "what "
                       "it makes of a row",
                       "ALTER TRIGGER ... RENAME it: triggers fire in the order of their names, and none may "
                       "sort behind \"~pawl\"");
            break;
        case PAWL_HANG_RULE:
        case PAWL_HANG_POLICY:
            if (options->mode == PAWL_HANG_REWRITE && !pawl_hang_has(item, "local"))
                refuse(item, "it belongs to another table and would go on using the old one",
                       "drop it before and create it again afterwards");
            break;
        case PAWL_HANG_PUBLICATION_FILTER:
            if (options->mode == PAWL_HANG_REWRITE)
                item->fate = NONE; /* the publication itself says what is to be said */
            break;
        case PAWL_HANG_PERSISTENCE:
            if (strcmp(item->definition, "TEMPORARY") == 0)
                refuse(item, "a temporary table is seen by its own session only", "ALTER TABLE it there");
            break;
        default:
            break;
    }
}

/* ---- all of them ------------------------------------------------------------------------------------------------ */

/* Of a swap, a thing that names columns is concerned when it names this one; of the others, those that hold for all. */
static bool
is_concerned(const pawl_hang *item, const pawl_hang_options *options)
{
    if (options->mode == PAWL_HANG_REWRITE)
        return true;
    if (fires_behind(item, options))
        return true;
    if (item->ncolumns > 0)
        return pawl_hang_has_column(item, options->column);
    switch ((int) item->kind)
    {
        case PAWL_HANG_PUBLICATION:
        case PAWL_HANG_PUBLICATION_WIDE:
        case PAWL_HANG_SUBSCRIPTION:
        case PAWL_HANG_INHERITANCE:
        case PAWL_HANG_PARTITIONED:
        case PAWL_HANG_TYPED:
        case PAWL_HANG_ROW_TYPE:
        case PAWL_HANG_EXTENSION:
        case PAWL_HANG_PERSISTENCE:
            return true;
        default:
            return false;
    }
}

void
pawl_hanging_judge(pawl_hanging *hanging, const pawl_hang_options *options)
{
    for (size_t i = 0; i < hanging->nitems; i++)
    {
        pawl_hang *item = &hanging->items[i];
        const fate_of *fate = &table_of_fates[item->kind];

        item->fate = NONE;
        item->reason = item->advice = "";
        if (!is_concerned(item, options))
            continue;
        item->fate = fate->fates[options->mode];
        item->reason = fate->reason;
        item->advice = fate->advice;
        judge_special(hanging, item, options);
    }
}

static void
add_lines(const pawl_hanging *hanging, pawl_hang_fate fate, bool with_advice, pawl_strbuf *text,
          pawl_arena *arena)
{
    for (size_t i = 0; i < hanging->nitems; i++)
    {
        const pawl_hang *item = &hanging->items[i];

        if (item->fate != fate)
            continue;
        if (text->length > 0)
            pawl_strbuf_addc(text, '\n');
        pawl_strbuf_add(text, pawl_hang_label(hanging, item, arena));
        if (item->reason[0] != '\0')
            pawl_strbuf_addf(text, ": %s", item->reason);
        if (with_advice && item->advice[0] != '\0')
            pawl_strbuf_addf(text, "; %s", item->advice);
    }
}

pawl_status
pawl_hanging_text(const pawl_hanging *hanging, pawl_hang_fate fate, pawl_arena *arena, const char **out,
                  pawl_error *err)
{
    PAWL_STRBUF_AUTO(text);
    const char *copy = NULL;

    add_lines(hanging, fate, true, &text, arena);
    if (!pawl_strbuf_is_ok(&text) || (copy = pawl_arena_strdup(arena, text.data)) == NULL)
        return pawl_error_nomem(err, "a list of what hangs on a table");
    *out = copy;
    return PAWL_OK;
}

/* The names alone, and the advice of the first as a hint: an error's texts are short, the whole list is in the plan. */
static void
add_names(const pawl_hanging *hanging, pawl_strbuf *text, pawl_arena *arena)
{
    for (size_t i = 0; i < hanging->nitems; i++)
        if (hanging->items[i].fate == REFUSED)
            pawl_strbuf_addf(text, "%s%s", text->length > 0 ? ", " : "",
                             pawl_hang_label(hanging, &hanging->items[i], arena));
}

pawl_status
pawl_hanging_refuse(const pawl_hanging *hanging, const pawl_hang_options *options, pawl_error *err)
{
    PAWL_AUTO(pawl_arena) arena = pawl_arena_new();
    PAWL_STRBUF_AUTO(names);
    PAWL_STRBUF_AUTO(lines);
    PAWL_STRBUF_AUTO(advice);
    const pawl_hang *first = NULL;

    if (arena == NULL)
        return pawl_error_nomem(err, "a list of what hangs on a table");
    for (size_t i = 0; i < hanging->nitems && first == NULL; i++)
        if (hanging->items[i].fate == REFUSED)
            first = &hanging->items[i];
    if (first == NULL)
        return PAWL_OK;

    add_names(hanging, &names, arena);
    add_lines(hanging, REFUSED, false, &lines, arena);
    for (size_t i = 0; i < hanging->nitems; i++)
        if (hanging->items[i].fate == REFUSED && strstr(advice.data, hanging->items[i].advice) == NULL)
            pawl_strbuf_addf(&advice, "%s%s", advice.length > 0 ? "; " : "", hanging->items[i].advice);
    if (options->mode == PAWL_HANG_REWRITE)
        pawl_error_set(err, PAWL_E_REFUSED, "table %s.%s cannot be rewritten: %s", hanging->schema,
                       hanging->table, names.data);
    else
        pawl_error_set(err, PAWL_E_REFUSED, "column %s of %s.%s cannot be swapped: %s", options->column,
                       hanging->schema, hanging->table, names.data);
    pawl_error_detail(err, "%s", lines.data);
    return pawl_error_hint(err, "%s", advice.data);
}
