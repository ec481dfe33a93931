#include "migrate/input.h"

#include <string.h>

#include "config/utf8.h"
#include "util/clock.h"
#include "util/strbuf.h"
#include "util/units.h"

#include "util/banned.h"

/* The reading of one input. */
typedef struct reader
{
    const pawl_preview_input_options *what;
    const char *file;
    pawl_input *out;
    const pawl_jnode *types; /* of the text; NULL */
    const pawl_jnode *key;
    pawl_error *err;
} reader;

static pawl_status
refuse(const reader *r, const pawl_jnode *at, const char *what)
{
    (void) pawl_error_set(r->err, PAWL_E_INPUT, "%s, not %s", what, pawl_jkind_name(at->kind));
    return pawl_error_place(r->err, r->file, at->line, at->column);
}

/* ---- what stands beside the rows ------------------------------------------------------------------------------------ */

/* An object of texts, and pairs that are stronger. */
static pawl_status
read_pairs(reader *r, const pawl_jnode *node, const pawl_key_value *own, size_t nown, pawl_lua_pair **out,
           size_t *count)
{
    size_t length = node == NULL ? 0 : node->length;
    pawl_lua_pair *pairs = pawl_arena_array(r->out->arena, length + nown, sizeof *pairs);
    size_t n = 0;

    if (pairs == NULL)
        return pawl_error_nomem(r->err, "an input");
    if (node != NULL && node->kind != PAWL_JOBJECT)
        return refuse(r, node, "an object of names and texts was expected");
    for (size_t i = 0; i < nown; i++)
        pairs[n++] = (pawl_lua_pair){.key = own[i].key, .value = own[i].value};
    for (size_t i = 0; i < length; i++)
    {
        bool is_own = false;

        if (node->items[i]->kind != PAWL_JSTRING)
            return refuse(r, node->items[i], "a text was expected");
        for (size_t k = 0; k < nown; k++)
            is_own = is_own || strcmp(own[k].key, node->keys[i]) == 0;
        if (!is_own)
            pairs[n++] = (pawl_lua_pair){.key = node->keys[i], .value = node->items[i]->text};
    }
    *out = pairs;
    *count = n;
    return PAWL_OK;
}

static bool
has_number(const char *text, size_t digits, int64_t *out)
{
    int64_t n = 0;

    for (size_t i = 0; i < digits; i++)
    {
        if (text[i] < '0' || text[i] > '9')
            return false;
        n = n * 10 + (text[i] - '0');
    }
    *out = n;
    return true;
}

/* 2025-03-01T10:00:00Z */
static pawl_status
read_now(reader *r, const pawl_jnode *node)
{
    int64_t y = 0, m = 0, d = 0, hour = 0, minute = 0, second = 0;
    const char *t = node == NULL ? "" : node->text;

    r->out->now_us = pawl_clock_wall_us();
    if (node == NULL)
        return PAWL_OK;
    if (node->kind != PAWL_JSTRING || strlen(t) != 20 || t[4] != '-' || t[7] != '-' || t[10] != 'T' ||
        t[13] != ':' || t[16] != ':' || t[19] != 'Z' || !has_number(t, 4, &y) || !has_number(t + 5, 2, &m) ||
        !has_number(t + 8, 2, &d) || !has_number(t + 11, 2, &hour) || !has_number(t + 14, 2, &minute) ||
        !has_number(t + 17, 2, &second) || m < 1 || m > 12 || d < 1 || d > 31)
        return refuse(r, node, "a time like \"2025-03-01T10:00:00Z\" was expected");

    /* Days since 1970, with years that begin in March: the leap day is then the last of its year. */
    int64_t year = m > 2 ? y : y - 1;
    int64_t month = m > 2 ? m - 3 : m + 9;
    int64_t days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + d - 1 - 719468;

    r->out->now_us = (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000000;
    return PAWL_OK;
}

static pawl_status
read_frame(reader *r, const pawl_jnode *root, const pawl_jnode **rows)
{
    static const char *const known[] = {"rows", "types", "key", "x", "secrets", "now"};
    const size_t nknown = sizeof known / sizeof known[0];
    pawl_status st;

    for (size_t i = 0; root->kind == PAWL_JOBJECT && i < root->length; i++)
    {
        bool is_known = false;

        for (size_t k = 0; k < nknown; k++)
            is_known = is_known || strcmp(root->keys[i], known[k]) == 0;
        if (is_known)
            continue;
        (void) pawl_error_set(r->err, PAWL_E_INPUT, "an input has no \"%s\"", root->keys[i]);
        (void) pawl_error_place(r->err, r->file, root->items[i]->line, root->items[i]->column);
        return pawl_error_hint(r->err,
                               "it is an array of rows, or an object with rows, types, key, x, secrets, now");
    }
    *rows = root->kind == PAWL_JOBJECT ? pawl_jtree_get(root, "rows") : root;
    if (*rows == NULL || (*rows)->kind != PAWL_JARRAY)
        return refuse(r, *rows == NULL ? root : *rows, "an array of rows was expected");
    r->types = pawl_jtree_get(root, "types");
    r->key = pawl_jtree_get(root, "key");
    if (r->types != NULL && r->types->kind != PAWL_JOBJECT)
        return refuse(r, r->types, "an object of columns and types was expected");
    if ((st = read_now(r, pawl_jtree_get(root, "now"))) != PAWL_OK ||
        (st = read_pairs(r, pawl_jtree_get(root, "x"), r->what->x, r->what->nx, &r->out->x, &r->out->nx)) !=
            PAWL_OK)
        return st;
    return read_pairs(r, pawl_jtree_get(root, "secrets"), NULL, 0, &r->out->secrets, &r->out->nsecrets);
}

/* ---- rows ---------------------------------------------------------------------------------------------------------- */

/* The object of columns, which stands alone or in a case. */
static const pawl_jnode *
columns_of(const pawl_jnode *row)
{
    static const char *const known[] = {"row", "expect", "reject", "fail", "name"};
    const pawl_jnode *inner = pawl_jtree_get(row, "row");

    if (inner == NULL || inner->kind != PAWL_JOBJECT)
        return row;
    for (size_t i = 0; i < row->length; i++)
    {
        bool is_known = false;

        for (size_t k = 0; k < sizeof known / sizeof known[0]; k++)
            is_known = is_known || strcmp(row->keys[i], known[k]) == 0;
        if (!is_known)
            return row;
    }
    return inner;
}

static pawl_status
read_case(reader *r, const pawl_jnode *node, pawl_input_row *row)
{
    const pawl_jnode *reject = pawl_jtree_get(node, "reject");
    const pawl_jnode *fail = pawl_jtree_get(node, "fail");
    const pawl_jnode *name = pawl_jtree_get(node, "name");

    row->expect = pawl_jtree_get(node, "expect");
    if (row->expect != NULL && row->expect->kind != PAWL_JOBJECT && row->expect->kind != PAWL_JNULL)
        return refuse(r, row->expect, "an object of columns, or null, was expected");
    for (int i = 0; i < 3; i++)
    {
        const pawl_jnode *text = i == 0 ? reject : i == 1 ? fail : name;

        if (text != NULL && text->kind != PAWL_JSTRING)
            return refuse(r, text, "a text was expected");
    }
    row->reject = reject == NULL ? NULL : reject->text;
    row->fail = fail == NULL ? NULL : fail->text;
    row->name = name == NULL ? NULL : name->text;
    return PAWL_OK;
}

static bool
is_key(const reader *r, const char *name)
{
    if (r->key == NULL)
        return strcmp(name, "id") == 0;
    for (size_t i = 0; i < r->key->length; i++)
        if (strcmp(r->key->items[i]->text, name) == 0)
            return true;
    return false;
}

static pawl_lua_column *
find(pawl_lua_column *columns, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (strcmp(columns[i].name, name) == 0)
            return &columns[i];
    return NULL;
}

/* The type that somebody has declared, or NULL. */
static const char *
declared(const reader *r, const char *name)
{
    const pawl_jnode *type = r->types == NULL ? NULL : pawl_jtree_get(r->types, name);

    for (size_t i = 0; i < r->what->ntypes; i++)
        if (strcmp(r->what->types[i].key, name) == 0)
            return r->what->types[i].value;
    return type == NULL ? NULL : type->text;
}

static pawl_status
set_type(const reader *r, pawl_lua_column *column, const char *type)
{
    /* The report outlives the caller's texts. */
    const char *copy = pawl_arena_strdup(r->out->arena, type);

    column->name = pawl_arena_strdup(r->out->arena, column->name);
    if (copy == NULL || column->name == NULL)
        return pawl_error_nomem(r->err, "the columns of an input");
    if (pawl_input_has_type(copy, column))
        return PAWL_OK;
    (void) pawl_error_set(r->err, PAWL_E_INPUT, "column \"%s\": \"%s\" is no built-in type", column->name,
                          type);
    return pawl_error_hint(
        r->err, "without a database only those are known; to Lua an enum, a composite or a range is a text");
}

/* Every name that occurs in a row, once; key columns first. */
static pawl_status
collect_given(reader *r, const pawl_jnode *rows)
{
    pawl_input *out = r->out;
    size_t most = 0;

    for (size_t i = 0; i < rows->length; i++)
        most += columns_of(rows->items[i])->length;
    out->given = pawl_arena_array(out->arena, most, sizeof *out->given);
    if (out->given == NULL)
        return pawl_error_nomem(r->err, "the columns of an input");
    for (int pass = 0; pass < 2; pass++)
    {
        for (size_t i = 0; i < rows->length; i++)
        {
            const pawl_jnode *columns = columns_of(rows->items[i]);

            for (size_t c = 0; c < columns->length; c++)
                if (is_key(r, columns->keys[c]) == (pass == 0) &&
                    find(out->given, out->ngiven, columns->keys[c]) == NULL)
                    out->given[out->ngiven++] =
                        (pawl_lua_column){.name = columns->keys[c], .type_name = "", .is_key = pass == 0};
        }
    }
    return PAWL_OK;
}

static pawl_status
type_given(reader *r, const pawl_jnode *rows)
{
    for (int c = 0; c < r->out->ngiven; c++)
    {
        pawl_lua_column *column = &r->out->given[c];
        const char *type = declared(r, column->name);
        pawl_status st;

        for (size_t i = 0; type == NULL && i < rows->length; i++)
        {
            const pawl_jnode *value = pawl_jtree_get(columns_of(rows->items[i]), column->name);

            if (value != NULL)
                column->type_name = pawl_input_guess(value, column->type_name);
        }
        if (type == NULL)
            type = column->type_name[0] == '\0' ? "text" : column->type_name;
        st = set_type(r, column, type);
        if (st != PAWL_OK)
            return st;
    }
    return PAWL_OK;
}

static pawl_status
add_written(reader *r, const char *name, const char *type)
{
    pawl_lua_column *column = &r->out->written[r->out->nwritten];

    if (find(r->out->written, r->out->nwritten, name) != NULL)
        return PAWL_OK;
    *column = (pawl_lua_column){.name = name};
    r->out->nwritten++;
    return set_type(r, column, type);
}

/* Whatever type is declared holds for what is returned, too. */
static pawl_status
collect_written(reader *r)
{
    size_t ntypes = r->types == NULL ? 0 : r->types->length;
    pawl_status st = PAWL_OK;

    r->out->written = pawl_arena_array(r->out->arena, r->what->ntypes + ntypes, sizeof *r->out->written);
    if (r->out->written == NULL)
        return pawl_error_nomem(r->err, "the columns of an input");
    for (size_t i = 0; i < r->what->ntypes && st == PAWL_OK; i++)
        st = add_written(r, r->what->types[i].key, r->what->types[i].value);
    for (size_t i = 0; i < ntypes && st == PAWL_OK; i++)
    {
        if (r->types->items[i]->kind != PAWL_JSTRING)
            return refuse(r, r->types->items[i], "the name of a type was expected");
        st = add_written(r, r->types->keys[i], r->types->items[i]->text);
    }
    return st;
}

static pawl_status
read_row(reader *r, const pawl_jnode *node, int number, pawl_input_row *row)
{
    pawl_input *out = r->out;
    const pawl_jnode *columns = columns_of(node);
    pawl_status st = PAWL_OK;

    *row =
        (pawl_input_row){.cells = pawl_arena_array(out->arena, (size_t) out->ngiven, sizeof(const char *))};
    if (row->cells == NULL)
        return pawl_error_nomem(r->err, "the rows of an input");
    if (columns != node)
        st = read_case(r, node, row);
    if (st == PAWL_OK && row->name == NULL)
    {
        row->name = pawl_arena_fmt(out->arena, "row %d", number);
        if (row->name == NULL)
            return pawl_error_nomem(r->err, "the rows of an input");
    }
    for (int c = 0; c < out->ngiven && st == PAWL_OK; c++)
    {
        const pawl_jnode *value = pawl_jtree_get(columns, out->given[c].name);

        if (value != NULL)
            st = pawl_input_text(value, &out->given[c], r->file, out->arena, &row->cells[c], r->err);
    }
    return st;
}

static pawl_status
read_rows(reader *r, const pawl_jnode *rows)
{
    pawl_input *out = r->out;
    pawl_status st = PAWL_OK;

    if (r->key != NULL && r->key->kind != PAWL_JARRAY)
        return refuse(r, r->key, "an array of columns was expected");
    for (size_t i = 0; i < rows->length; i++)
        if (rows->items[i]->kind != PAWL_JOBJECT)
            return refuse(r, rows->items[i], "a row must be an object of columns");
    if ((st = collect_given(r, rows)) != PAWL_OK || (st = type_given(r, rows)) != PAWL_OK ||
        (st = collect_written(r)) != PAWL_OK)
        return st;
    out->rows = pawl_arena_array(out->arena, rows->length, sizeof *out->rows);
    if (out->rows == NULL)
        return pawl_error_nomem(r->err, "the rows of an input");
    for (size_t i = 0; i < rows->length && st == PAWL_OK; i++)
        st = read_row(r, rows->items[i], ++out->nrows, &out->rows[i]);
    return st;
}

pawl_status
pawl_input_parse(const pawl_preview_input_options *what, pawl_arena *arena, pawl_input *out, pawl_error *err)
{
    pawl_input input = {.arena = arena};
    reader r = {.what = what,
                .file = what->input_name == NULL ? "input" : what->input_name,
                .out = &input,
                .err = err};
    const pawl_jnode *rows = NULL;
    pawl_jnode *root = NULL;
    pawl_utf8_fault fault;
    pawl_status st;

    if (pawl_utf8_has_fault(what->input, strlen(what->input), &fault))
    {
        (void) pawl_error_set(err, PAWL_E_INPUT, "%s", fault.message);
        return pawl_error_place(err, r.file, fault.line, fault.column);
    }
    if ((st = pawl_jtree_parse(what->input, r.file, arena, &root, err)) != PAWL_OK ||
        (st = read_frame(&r, root, &rows)) != PAWL_OK || (st = read_rows(&r, rows)) != PAWL_OK)
        return st;
    *out = input;
    return PAWL_OK;
}

/* ---- expectations -------------------------------------------------------------------------------------------------- */

bool
pawl_input_has_expectation(const pawl_input_row *row)
{
    return row->expect != NULL || row->reject != NULL || row->fail != NULL;
}

/* Texts are compared as they are; what is an object or array is compared as JSON. */
static bool
is_same_value(const pawl_input *input, const pawl_jnode *expected, const char *wanted, const char *found)
{
    pawl_error ignored = PAWL_ERROR_INIT;
    pawl_jnode *tree = NULL;

    if (wanted == NULL || found == NULL)
        return wanted == found;
    if (strcmp(wanted, found) == 0)
        return true;
    return (expected->kind == PAWL_JOBJECT || expected->kind == PAWL_JARRAY) &&
           pawl_jtree_parse(found, "", input->arena, &tree, &ignored) == PAWL_OK &&
           pawl_jtree_is_equal(expected, tree);
}

static const char *
or_null(const char *text)
{
    return text == NULL ? "NULL" : text;
}

static pawl_status
compare_value(const pawl_input *input, const pawl_jnode *expected, const char *name, const char *found,
              pawl_strbuf *out, pawl_error *err)
{
    const pawl_lua_column any = {.name = name, .type_name = "any", .type = PAWL_LUA_ANY};
    const pawl_lua_column *column = find(input->written, input->nwritten, name);
    const char *wanted = NULL;
    pawl_status st =
        pawl_input_text(expected, column == NULL ? &any : column, "", input->arena, &wanted, err);

    if (st == PAWL_OK && !is_same_value(input, expected, wanted, found))
        pawl_strbuf_addf(out, "%s%s is %s, expected %s", out->length > 0 ? "; " : "", name, or_null(found),
                         or_null(wanted));
    return st;
}

static int
place_of(const char *const *names, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -1;
}

static pawl_status
compare_values(const pawl_input *input, const pawl_jnode *expect, const pawl_trial_row *outcome,
               const char *const *names, pawl_strbuf *out, pawl_error *err)
{
    for (size_t i = 0; i < expect->length; i++)
    {
        int at = place_of(names, outcome->nvalues, expect->keys[i]);
        pawl_status st = PAWL_OK;

        if (at < 0 || !outcome->is_set[at])
            pawl_strbuf_addf(out, "%s%s is not set", out->length > 0 ? "; " : "", expect->keys[i]);
        else
            st = compare_value(input, expect->items[i], names[at], outcome->values[at], out, err);
        if (st != PAWL_OK)
            return st;
    }
    for (int i = 0; i < outcome->nvalues; i++)
        if (outcome->is_set[i] && pawl_jtree_get(expect, names[i]) == NULL)
            pawl_strbuf_addf(out, "%s%s is set to %s, which was not expected", out->length > 0 ? "; " : "",
                             names[i], or_null(outcome->values[i]));
    return PAWL_OK;
}

static const char *
expected_outcome(const pawl_input_row *row)
{
    if (row->reject != NULL)
        return "a reject";
    if (row->fail != NULL)
        return "a failure";
    return row->expect->kind == PAWL_JNULL ? "that the row is left alone" : "values";
}

static const char *
found_outcome(const pawl_trial_row *outcome)
{
    switch (outcome->outcome)
    {
        case PAWL_TRIAL_WRITE:
            return "values are set";
        case PAWL_TRIAL_LEAVE:
            return "the row is left alone";
        case PAWL_TRIAL_REJECT:
            return "the row is rejected";
        case PAWL_TRIAL_FAIL:
            break;
    }
    return "the transform fails";
}

static pawl_status
compare(const pawl_input *input, const pawl_input_row *row, const pawl_trial_row *outcome,
        const char *const *names, pawl_strbuf *out, pawl_error *err)
{
    bool wants_values = row->expect != NULL && row->expect->kind == PAWL_JOBJECT;

    if (row->reject != NULL && outcome->outcome == PAWL_TRIAL_REJECT)
    {
        if (strcmp(row->reject, outcome->reason) != 0)
            pawl_strbuf_addf(out, "the reason is \"%s\", expected \"%s\"", outcome->reason, row->reject);
    }
    else if (row->fail != NULL && outcome->outcome == PAWL_TRIAL_FAIL)
    {
        if (strstr(outcome->error->message, row->fail) == NULL)
            pawl_strbuf_addf(out, "the failure does not say \"%s\"", row->fail);
    }
    else if (wants_values && outcome->outcome == PAWL_TRIAL_WRITE)
        return compare_values(input, row->expect, outcome, names, out, err);
    else if (wants_values || row->reject != NULL || row->fail != NULL || outcome->outcome != PAWL_TRIAL_LEAVE)
        pawl_strbuf_addf(out, "%s, expected %s", found_outcome(outcome), expected_outcome(row));
    return PAWL_OK;
}

pawl_status
pawl_input_compare(const pawl_input *input, const pawl_input_row *row, const pawl_trial_row *outcome,
                   const char *const *names, const char **out, pawl_error *err)
{
    PAWL_STRBUF_AUTO(text);
    pawl_status st = PAWL_OK;

    if (pawl_input_has_expectation(row))
        st = compare(input, row, outcome, names, &text, err);
    if (st != PAWL_OK)
        return st;
    *out = text.length == 0 ? NULL : pawl_arena_strdup(input->arena, text.data);
    return (text.length > 0 && *out == NULL) || !pawl_strbuf_is_ok(&text) ? pawl_error_nomem(err, "an input")
                                                                          : PAWL_OK;
}
