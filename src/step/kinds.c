#include <string.h>

#include "step/kind.h"
#include "util/units.h"

#include "util/banned.h"

static const pawl_step_kind kinds[] = {
    {
        .name = "sql",
        .help = "run SQL, each statement on its own, all in one transaction",
        .sample = "  - sql: |\n"
                  "      ALTER TABLE public.products ADD CHECK (price > 0) NOT VALID;\n"
                  "    down:\n"
                  "      - sql: |\n"
                  "          ALTER TABLE public.products DROP CONSTRAINT products_price_check;\n",
        .parse = pawl_kind_sql_parse,
        .apply = pawl_kind_sql_apply,
        .script = pawl_kind_sql_script,
    },
    {
        .name = "add_column",
        .help = "add a column without rewriting the table",
        .sample = "  - add_column:\n"
                  "      table: public.products\n"
                  "      column: price_amount\n"
                  "      type: numeric(10,2)\n",
        .has_derived_down = true,
        .parse = pawl_kind_add_column_parse,
        .apply = pawl_kind_add_column_apply,
        .revert = pawl_kind_add_column_revert,
        .script = pawl_kind_add_column_script,
    },
    {
        .name = "drop_column",
        .help = "drop a column; `was:` says how a downgrade makes it again",
        .sample = "  - drop_column:\n"
                  "      table: public.products\n"
                  "      column: price_old\n"
                  "      was: { type: text }\n",
        .has_derived_down = true,
        .parse = pawl_kind_drop_column_parse,
        .apply = pawl_kind_drop_column_apply,
        .revert = pawl_kind_drop_column_revert,
        .script = pawl_kind_drop_column_script,
    },
    {
        .name = "rename_column",
        .help = "rename a column",
        .sample = "  - rename_column:\n"
                  "      table: public.products\n"
                  "      column: price\n"
                  "      to: price_text\n",
        .has_derived_down = true,
        .parse = pawl_kind_rename_column_parse,
        .apply = pawl_kind_rename_column_apply,
        .revert = pawl_kind_rename_column_revert,
        .script = pawl_kind_rename_column_script,
    },
    {
        .name = "set_not_null",
        .help = "make a column NOT NULL without a long lock",
        .sample = "  - set_not_null:\n"
                  "      table: public.products\n"
                  "      column: price_amount\n",
        .has_derived_down = true,
        .is_resumed = true,
        .parse = pawl_kind_set_not_null_parse,
        .apply = pawl_kind_set_not_null_apply,
        .revert = pawl_kind_set_not_null_revert,
        .script = pawl_kind_set_not_null_script,
    },
    {
        .name = "create_index",
        .help = "build an index without blocking writers",
        .sample = "  - create_index:\n"
                  "      table: public.products\n"
                  "      name: products_category_id\n"
                  "      columns: [category_id]\n",
        .has_derived_down = true,
        .parse = pawl_kind_create_index_parse,
        .apply = pawl_kind_create_index_apply,
        .revert = pawl_kind_create_index_revert,
        .script = pawl_kind_create_index_script,
    },
    {
        .name = "drop_index",
        .help = "drop an index without blocking writers",
        .sample = "  - drop_index:\n"
                  "      name: public.products_category_id\n"
                  "      was: { table: public.products, columns: [category_id] }\n",
        .has_derived_down = true,
        .parse = pawl_kind_drop_index_parse,
        .apply = pawl_kind_drop_index_apply,
        .revert = pawl_kind_drop_index_revert,
        .script = pawl_kind_drop_index_script,
    },
    {
        .name = "add_constraint",
        .help = "add a check, a foreign key or a unique constraint without a long lock",
        .sample = "  - add_constraint:\n"
                  "      table: public.products\n"
                  "      name: products_price_positive\n"
                  "      check: \"price_amount > 0\"\n",
        .has_derived_down = true,
        .parse = pawl_kind_add_constraint_parse,
        .apply = pawl_kind_add_constraint_apply,
        .revert = pawl_kind_add_constraint_revert,
        .script = pawl_kind_add_constraint_script,
    },
    {
        .name = "drop_constraint",
        .help = "drop a constraint; `was:` says how a downgrade makes it again",
        .sample = "  - drop_constraint:\n"
                  "      table: public.products\n"
                  "      name: products_price_positive\n"
                  "      was: { check: \"price_amount > 0\" }\n",
        .has_derived_down = true,
        .parse = pawl_kind_drop_constraint_parse,
        .apply = pawl_kind_drop_constraint_apply,
        .revert = pawl_kind_drop_constraint_revert,
        .script = pawl_kind_drop_constraint_script,
    },
    {
        .name = "backfill",
        .help = "fill columns batch by batch, with Lua or SQL, resumable",
        .sample = "  - backfill:\n"
                  "      table: public.products\n"
                  "      set: { price_amount: \"price::numeric\" }\n"
                  "      where: \"price_amount IS NULL\"\n"
                  "    down: nothing\n",
        .is_resumed = true,
        .parse = pawl_kind_backfill_parse,
        .apply = pawl_kind_backfill_apply,
        .script = pawl_kind_backfill_script,
    },
    {
        .name = "rewrite_table",
        .help = "rewrite a table into a new shape while it is in use",
        .sample = "  - rewrite_table:\n"
                  "      table: public.products\n"
                  "      change:\n"
                  "        price: { type: \"numeric(10,2)\", using: \"price::numeric\" }\n",
        .has_derived_down = true,
        .is_resumed = true,
        .parse = pawl_kind_rewrite_table_parse,
        .apply = pawl_kind_rewrite_table_apply,
        .revert = pawl_kind_rewrite_table_revert,
        .may_revert = pawl_kind_rewrite_table_may_revert,
        .look_ahead = pawl_kind_rewrite_table_look_ahead,
        .tend = pawl_kind_rewrite_table_tend,
        .script = pawl_kind_rewrite_table_script,
    },
    {
        .name = "swap_column",
        .help = "replace a column by one of another type while others write",
        .sample = "  - swap_column:\n"
                  "      table: public.products\n"
                  "      column: price\n"
                  "      type: numeric(10,2)\n"
                  "      using: \"price::numeric\"   # or  lua: transforms/price.lua\n"
                  "      reverse: \"price::text\"    # keeps the old column in step: the way back\n",
        .has_derived_down = true,
        .is_resumed = true,
        .parse = pawl_kind_swap_column_parse,
        .apply = pawl_kind_swap_column_apply,
        .revert = pawl_kind_swap_column_revert,
        .may_revert = pawl_kind_swap_column_may_revert,
        .look_ahead = pawl_kind_swap_column_look_ahead,
        .tend = pawl_kind_swap_column_tend,
    },
    {
        .name = "switch",
        .help = "exchange the names of a column and of the one that a backfill has filled from it",
        .sample = "  - switch:\n"
                  "      table: public.products\n"
                  "      column: price\n"
                  "      with: price_amount         # filled by a `backfill` with `capture: true`\n"
                  "      reverse: \"price::text\"    # keeps the old column in step: the way back\n",
        .has_derived_down = true,
        .is_resumed = true,
        .parse = pawl_kind_switch_parse,
        .apply = pawl_kind_switch_apply,
        .revert = pawl_kind_switch_revert,
        .may_revert = pawl_kind_switch_may_revert,
        .look_ahead = pawl_kind_switch_look_ahead,
        .tend = pawl_kind_switch_tend,
    },
    {
        .name = "contract",
        .help = "end a swap or a rewrite: drop the old column or table, and the way back",
        .sample = "  - contract:\n"
                  "      table: public.products\n"
                  "      column: price\n"
                  "    down: nothing\n",
        .parse = pawl_kind_contract_parse,
        .apply = pawl_kind_contract_apply,
    },
    {
        .name = "seed",
        .help = "insert or update rows by their key, from CSV, YAML or the revision",
        .sample = "  - seed:\n"
                  "      table: public.kinds\n"
                  "      key: [id]\n"
                  "      rows:\n"
                  "        - { id: 1, name: \"first\" }\n"
                  "        - { id: 2, name: \"second\" }\n",
        .has_derived_down = true,
        .parse = pawl_kind_seed_parse,
        .apply = pawl_kind_seed_apply,
        .script = pawl_kind_seed_script,
    },
    {
        .name = "assert",
        .help = "go on only when a query returns true",
        .sample = "  - assert:\n"
                  "      query: \"SELECT count(*) = 0 FROM public.products WHERE price_amount IS NULL\"\n"
                  "      message: some prices are missing\n",
        .has_derived_down = true,
        .parse = pawl_kind_assert_parse,
        .apply = pawl_kind_assert_apply,
        .script = pawl_kind_assert_script,
    },
    {.name = NULL},
};

#define NKINDS (sizeof kinds / sizeof kinds[0] - 1)

const pawl_step_kind *
pawl_step_kinds(void)
{
    return kinds;
}

const pawl_step_kind *
pawl_step_kind_find(const char *name)
{
    for (size_t i = 0; i < NKINDS; i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    return NULL;
}

const char *
pawl_step_kind_nearest(const char *name)
{
    const char *names[NKINDS];

    for (size_t i = 0; i < NKINDS; i++)
        names[i] = kinds[i].name;
    return pawl_units_nearest(name, names, NKINDS);
}
