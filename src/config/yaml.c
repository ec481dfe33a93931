#include "config/yaml.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "config/utf8.h"
#include "config/yaml_message.h"
#include "util/strbuf.h"
#include "util/vec.h"

#include "util/banned.h"

/*
 * One run over a text. Inside this file PAWL_E_INPUT means: the problem is in the list, there is no usable tree.
 *
 * libyaml counts characters, the tree wants bytes. `at_char` and `at_byte` are one known pair; marks are close to each
 * other, so that walking from the last one to the next is linear over the whole text.
 */
typedef struct parse
{
    yaml_parser_t parser;
    const char *file;
    const char *text;
    size_t length;
    size_t at_char;
    size_t at_byte;
    pawl_arena *arena;
    pawl_problems *problems;
    PAWL_VEC(pawl_yaml *) stack; /* children of all containers that are open */
    pawl_error *err;
} parse;

static pawl_status parse_node(parse *p, yaml_event_t *event, int depth, pawl_yaml **out);

static int
to_int(size_t n)
{
    return n < (size_t) INT_MAX ? (int) n : INT_MAX - 1;
}

static size_t
byte_offset(parse *p, size_t index)
{
    while (p->at_char < index && p->at_byte < p->length)
    {
        p->at_byte++;
        while (p->at_byte < p->length && pawl_utf8_is_tail(p->text[p->at_byte]))
            p->at_byte++;
        p->at_char++;
    }
    while (p->at_char > index && p->at_byte > 0)
    {
        p->at_byte--;
        while (p->at_byte > 0 && pawl_utf8_is_tail(p->text[p->at_byte]))
            p->at_byte--;
        p->at_char--;
    }
    return p->at_byte;
}

static void
add_problem(parse *p, yaml_mark_t mark, const char *hint, const char *message)
{
    pawl_problems_add(p->problems, p->file, to_int(mark.line) + 1, to_int(mark.column) + 1, hint, "%s",
                      message);
}

/* What libyaml stumbled over, in words for people. */
static pawl_status
report_parser(parse *p)
{
    const yaml_parser_t *y = &p->parser;
    pawl_yaml_message message;
    yaml_mark_t mark = y->problem_mark;
    char found = '\0';
    size_t at;

    if (y->error == YAML_MEMORY_ERROR)
        return pawl_error_nomem(p->err, "the YAML parser");
    if (y->error == YAML_READER_ERROR)
        mark = y->mark;

    at = byte_offset(p, mark.index);
    if (at < p->length)
        found = p->text[at];
    pawl_yaml_message_of(y->problem, y->context, found, &message);
    if (message.is_about_context)
        mark = y->context_mark;
    add_problem(p, mark, message.hint, message.text);
    return PAWL_E_INPUT;
}

static pawl_status
next_event(parse *p, yaml_event_t *event)
{
    if (yaml_parser_parse(&p->parser, event) == 0)
        return report_parser(p);
    return PAWL_OK;
}

/* NULL, and the error is set, when memory ran out. */
static pawl_yaml *
new_node(parse *p, const yaml_event_t *event, pawl_yaml_kind kind)
{
    pawl_yaml *node = pawl_arena_alloc(p->arena, sizeof *node);

    if (node == NULL)
    {
        (void) pawl_error_nomem(p->err, "a YAML node");
        return NULL;
    }
    node->kind = kind;
    node->file = p->file;
    node->line = to_int(event->start_mark.line) + 1;
    node->column = to_int(event->start_mark.column) + 1;
    node->text = "";
    node->start = byte_offset(p, event->start_mark.index);
    node->end = byte_offset(p, event->end_mark.index);
    return node;
}

static void
refuse_properties(parse *p, yaml_mark_t mark, const yaml_char_t *anchor, const yaml_char_t *tag)
{
    if (anchor != NULL)
        add_problem(p, mark, "write the value out where it is needed", "anchors (&name) are not allowed");
    if (tag != NULL)
        add_problem(p, mark, "remove the tag: each key knows the type of its value",
                    "tags (!name) are not allowed");
}

static bool
is_null_text(const char *text)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
    {
        if (strcmp(text, words[i]) == 0)
            return true;
    }
    return false;
}

/* Is there a comment behind byte `end`, on its line? */
static bool
has_comment_behind(const parse *p, size_t end)
{
    size_t i = end;

    while (i < p->length && (p->text[i] == ' ' || p->text[i] == '\t'))
        i++;
    return i > end && i < p->length && p->text[i] == '#';
}

static pawl_status
parse_scalar(parse *p, const yaml_event_t *event, pawl_yaml **out)
{
    const char *value = (const char *) event->data.scalar.value;
    size_t length = event->data.scalar.length;
    pawl_yaml *node = new_node(p, event, PAWL_YAML_SCALAR);

    if (node == NULL)
        return PAWL_E_NOMEM;
    refuse_properties(p, event->start_mark, event->data.scalar.anchor, event->data.scalar.tag);
    if (memchr(value, '\0', length) != NULL)
        add_problem(p, event->start_mark, "remove the escape \\0", "a text may not hold a NUL character");

    node->text = pawl_arena_strndup(p->arena, value, length);
    if (node->text == NULL)
        return pawl_error_nomem(p->err, "a YAML text");
    node->is_plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    node->is_null = node->is_plain && is_null_text(node->text);
    node->is_cut = node->is_plain && length > 0 && has_comment_behind(p, node->end);
    *out = node;
    return PAWL_OK;
}

/* Take the children that were pushed since `base` off the stack: every `step`-th, from `first`. */
static pawl_status
take_children(parse *p, size_t base, size_t first, size_t step, pawl_yaml ***out)
{
    size_t count = (p->stack.length - base) / step;
    pawl_yaml **list = pawl_arena_array(p->arena, count, sizeof *list);

    if (list == NULL)
        return pawl_error_nomem(p->err, "a YAML list");
    for (size_t i = 0; i < count; i++)
        list[i] = p->stack.items[base + first + i * step];
    *out = list;
    return PAWL_OK;
}

static pawl_status
push_child(parse *p, pawl_yaml *child)
{
    return pawl_vec_push(&p->stack, child) ? PAWL_OK : pawl_error_nomem(p->err, "a YAML list");
}

/* The end of a block collection is where the next thing begins: its last child's end is what belongs to it. */
static size_t
container_end(parse *p, const yaml_event_t *end, bool is_flow, size_t base, const pawl_yaml *node)
{
    if (is_flow)
        return byte_offset(p, end->end_mark.index);
    return p->stack.length > base ? p->stack.items[p->stack.length - 1]->end : node->end;
}

static pawl_status
parse_sequence(parse *p, const yaml_event_t *start, int depth, pawl_yaml **out)
{
    bool is_flow = start->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE;
    size_t base = p->stack.length;
    pawl_yaml *node = new_node(p, start, PAWL_YAML_SEQUENCE);
    pawl_status st;

    if (node == NULL)
        return PAWL_E_NOMEM;
    refuse_properties(p, start->start_mark, start->data.sequence_start.anchor,
                      start->data.sequence_start.tag);
    for (;;)
    {
        yaml_event_t event;
        pawl_yaml *item = NULL;

        if ((st = next_event(p, &event)) != PAWL_OK)
            return st;
        if (event.type == YAML_SEQUENCE_END_EVENT)
        {
            node->end = container_end(p, &event, is_flow, base, node);
            yaml_event_delete(&event);
            break;
        }
        if ((st = parse_node(p, &event, depth + 1, &item)) != PAWL_OK ||
            (st = push_child(p, item)) != PAWL_OK)
            return st;
    }
    node->length = p->stack.length - base;
    if ((st = take_children(p, base, 0, 1, &node->items)) != PAWL_OK)
        return st;
    p->stack.length = base;
    *out = node;
    return PAWL_OK;
}

static int
compare_keys(const void *a, const void *b)
{
    const pawl_yaml *x = *(const pawl_yaml *const *) a;
    const pawl_yaml *y = *(const pawl_yaml *const *) b;
    int by_text = strcmp(x->text, y->text);

    if (by_text != 0)
        return by_text;
    return x->start < y->start ? -1 : x->start > y->start;
}

static void
report_duplicate(parse *p, const pawl_yaml *first, const pawl_yaml *again)
{
    char hint[64];

    pawl_fmt(hint, sizeof hint, "it is already in line %d: keep one of them", first->line);
    pawl_problems_add(p->problems, again->file, again->line, again->column, hint,
                      "key \"%.60s\" is written twice", again->text);
}

/* Report keys that are there twice; the first one counts (pawl_yaml_get). */
static pawl_status
check_keys(parse *p, const pawl_yaml *node)
{
    PAWL_VEC(const pawl_yaml *) sorted = {0};

    for (size_t i = 0; i < node->length; i++)
    {
        if (!pawl_vec_push(&sorted, node->keys[i]))
        {
            pawl_vec_fini(&sorted);
            return pawl_error_nomem(p->err, "the keys of a mapping");
        }
    }
    if (sorted.length > 1)
        qsort(sorted.items, sorted.length, sizeof *sorted.items, compare_keys);
    for (size_t i = 1, first = 0; i < sorted.length; i++)
    {
        if (strcmp(sorted.items[first]->text, sorted.items[i]->text) == 0)
            report_duplicate(p, sorted.items[first], sorted.items[i]);
        else
            first = i;
    }
    pawl_vec_fini(&sorted);
    return PAWL_OK;
}

/* Read a key and its value; a pair whose key is no text is reported and dropped. */
static pawl_status
parse_pair(parse *p, yaml_event_t *event, int depth)
{
    pawl_yaml *key = NULL;
    pawl_yaml *value = NULL;
    yaml_mark_t mark = event->start_mark;
    pawl_status st = parse_node(p, event, depth + 1, &key);

    if (st != PAWL_OK || (st = next_event(p, event)) != PAWL_OK ||
        (st = parse_node(p, event, depth + 1, &value)) != PAWL_OK)
        return st;

    if (key->kind != PAWL_YAML_SCALAR || key->text[0] == '\0')
    {
        add_problem(p, mark, "write KEY: VALUE", "a key must be a word");
        return PAWL_OK;
    }
    if (key->is_plain && strcmp(key->text, "<<") == 0)
    {
        add_problem(p, mark, "write the keys out where they are needed", "merging with << is not allowed");
        return PAWL_OK;
    }
    if ((st = push_child(p, key)) != PAWL_OK)
        return st;
    return push_child(p, value);
}

static pawl_status
parse_mapping(parse *p, const yaml_event_t *start, int depth, pawl_yaml **out)
{
    bool is_flow = start->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE;
    size_t base = p->stack.length;
    pawl_yaml *node = new_node(p, start, PAWL_YAML_MAPPING);
    pawl_status st;

    if (node == NULL)
        return PAWL_E_NOMEM;
    refuse_properties(p, start->start_mark, start->data.mapping_start.anchor, start->data.mapping_start.tag);
    for (;;)
    {
        yaml_event_t event;

        if ((st = next_event(p, &event)) != PAWL_OK)
            return st;
        if (event.type == YAML_MAPPING_END_EVENT)
        {
            node->end = container_end(p, &event, is_flow, base, node);
            yaml_event_delete(&event);
            break;
        }
        if ((st = parse_pair(p, &event, depth)) != PAWL_OK)
            return st;
    }
    node->length = (p->stack.length - base) / 2;
    if ((st = take_children(p, base, 0, 2, &node->keys)) != PAWL_OK ||
        (st = take_children(p, base, 1, 2, &node->items)) != PAWL_OK || (st = check_keys(p, node)) != PAWL_OK)
        return st;
    p->stack.length = base;
    *out = node;
    return PAWL_OK;
}

static pawl_status
parse_alias(parse *p, const yaml_event_t *event, pawl_yaml **out)
{
    pawl_yaml *node = new_node(p, event, PAWL_YAML_SCALAR);

    if (node == NULL)
        return PAWL_E_NOMEM;
    add_problem(p, event->start_mark, "write the value out; quote a text that begins with *",
                "aliases (*name) are not allowed");
    node->text = "*"; /* a stand-in, so that one alias as a key is not also an empty key */
    node->is_plain = true;
    *out = node;
    return PAWL_OK;
}

/* Build the node that `event` begins, and delete the event. */
static pawl_status
parse_node(parse *p, yaml_event_t *event, int depth, pawl_yaml **out)
{
    pawl_status st;

    if (event->type == YAML_SCALAR_EVENT)
    {
        st = parse_scalar(p, event, out);
    }
    else if (event->type == YAML_ALIAS_EVENT)
    {
        st = parse_alias(p, event, out);
    }
    else if (depth >= PAWL_YAML_DEPTH)
    {
        add_problem(p, event->start_mark,
                    "nothing that pawl reads is nested so deep: look for a missing bracket",
                    "lists and mappings are nested too deep");
        st = PAWL_E_INPUT;
    }
    else if (event->type == YAML_SEQUENCE_START_EVENT)
    {
        st = parse_sequence(p, event, depth, out);
    }
    else
    {
        st = parse_mapping(p, event, depth, out);
    }
    yaml_event_delete(event);
    return st;
}

static pawl_status
empty_mapping(parse *p, pawl_yaml **out)
{
    yaml_event_t nowhere;
    pawl_yaml *node;

    memset(&nowhere, 0, sizeof nowhere);
    node = new_node(p, &nowhere, PAWL_YAML_MAPPING);
    if (node == NULL)
        return PAWL_E_NOMEM;
    *out = node;
    return PAWL_OK;
}

/* Stream start, document start, the root, document end, stream end. */
static pawl_status
parse_stream(parse *p, pawl_yaml **out)
{
    pawl_yaml *root = NULL;
    bool has_document = false;
    pawl_status st;

    for (;;)
    {
        yaml_event_t event;
        yaml_event_type_t type;

        if ((st = next_event(p, &event)) != PAWL_OK)
            return st;
        type = event.type;
        if (type == YAML_DOCUMENT_START_EVENT && has_document)
        {
            add_problem(p, event.start_mark,
                        "remove the --- line, or put what follows into a file of its own",
                        "a second YAML document is not allowed");
            type = YAML_STREAM_END_EVENT;
        }
        has_document = has_document || type == YAML_DOCUMENT_START_EVENT;
        if (type == YAML_SCALAR_EVENT || type == YAML_ALIAS_EVENT || type == YAML_SEQUENCE_START_EVENT ||
            type == YAML_MAPPING_START_EVENT)
            st = parse_node(p, &event, 0, &root);
        else
            yaml_event_delete(&event);
        if (st != PAWL_OK)
            return st;
        if (type == YAML_STREAM_END_EVENT)
            break;
    }
    if (root == NULL || root->is_null)
        return empty_mapping(p, out);
    *out = root;
    return PAWL_OK;
}

pawl_status
pawl_yaml_parse(const char *file, const char *text, size_t length, pawl_arena *arena, pawl_problems *problems,
                pawl_yaml **out, pawl_error *err)
{
    parse p = {.text = text, .length = length, .arena = arena, .problems = problems, .err = err};
    pawl_utf8_fault fault;
    pawl_yaml *root = NULL;
    pawl_status st;

    p.file = pawl_arena_strdup(arena, file);
    if (p.file == NULL)
        return pawl_error_nomem(err, "a file name");
    if (pawl_utf8_has_fault(text, length, &fault))
    {
        pawl_problems_add(problems, file, fault.line, fault.column, fault.hint, "%s", fault.message);
        *out = NULL;
        return PAWL_OK;
    }

    if (yaml_parser_initialize(&p.parser) == 0)
        return pawl_error_nomem(err, "the YAML parser");
    yaml_parser_set_encoding(&p.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&p.parser, (const unsigned char *) text, length);
    st = parse_stream(&p, &root);
    yaml_parser_delete(&p.parser);
    pawl_vec_fini(&p.stack);

    if (st != PAWL_OK && st != PAWL_E_INPUT)
        return st;
    *out = st == PAWL_OK ? root : NULL;
    return PAWL_OK;
}

const pawl_yaml *
pawl_yaml_get(const pawl_yaml *mapping, const char *key)
{
    if (mapping == NULL || mapping->kind != PAWL_YAML_MAPPING)
        return NULL;
    for (size_t i = 0; i < mapping->length; i++)
    {
        if (strcmp(mapping->keys[i]->text, key) == 0)
            return mapping->items[i];
    }
    return NULL;
}

const char *
pawl_yaml_kind_name(const pawl_yaml *node)
{
    switch (node->kind)
    {
        case PAWL_YAML_SCALAR:
            return node->is_null ? "nothing" : "text";
        case PAWL_YAML_SEQUENCE:
            return "a list";
        case PAWL_YAML_MAPPING:
            return "a mapping";
    }
    return "text";
}
