#include "step/sqltext.h"

#include <limits.h>
#include <string.h>
#include <strings.h>

#include <pg_query.h>

#include "util/vec.h"

#include "util/banned.h"

/* A token: bytes [start, end) of the text. */
typedef struct token
{
    size_t start;
    size_t end;
} token;

typedef PAWL_VEC(token) token_list;

/* A reader of the protobuf encoding that the scanner answers in: varints and length-delimited fields. */
typedef struct wire
{
    const unsigned char *at;
    const unsigned char *end;
} wire;

static uint64_t
wire_varint(wire *w)
{
    uint64_t value = 0;

    for (unsigned shift = 0; w->at < w->end && shift < 64; shift += 7)
    {
        unsigned char byte = *w->at++;
        value |= (uint64_t) (byte & 0x7FU) << shift;
        if ((byte & 0x80U) == 0)
            break;
    }
    return value;
}

/* The next field's number; its value in *value, or its bytes in *bytes. 0 at the end. */
static unsigned
wire_field(wire *w, uint64_t *value, wire *bytes)
{
    if (w->at >= w->end)
        return 0;

    uint64_t key = wire_varint(w);
    *value = wire_varint(w);
    if ((key & 7U) == 2)
    {
        size_t left = (size_t) (w->end - w->at);
        size_t length = *value < left ? (size_t) *value : left;
        *bytes = (wire){.at = w->at, .end = w->at + length};
        w->at += length;
    }
    return (unsigned) (key >> 3U);
}

/* libpg_query's protobuf/pg_query.proto: ScanResult has tokens in field 2; ScanToken its start in 1, its end in 2. */
static bool
can_read_tokens(wire w, token_list *tokens)
{
    uint64_t value = 0;
    wire inner = {0};

    for (unsigned field; (field = wire_field(&w, &value, &inner)) != 0;)
    {
        if (field != 2)
            continue;

        token t = {0};
        uint64_t number = 0;
        wire none = {0};
        for (unsigned f; (f = wire_field(&inner, &number, &none)) != 0;)
        {
            if (f == 1)
                t.start = (size_t) number;
            else if (f == 2)
                t.end = (size_t) number;
        }
        if (!pawl_vec_push(tokens, t))
            return false;
    }
    return true;
}

static int
line_of(const char *text, size_t offset)
{
    int line = 1;

    for (size_t i = 0; i < offset && text[i] != '\0'; i++)
        line += text[i] == '\n' ? 1 : 0;
    return line;
}

/* The byte offset of the `position`-th character (from 1), as error positions count. */
static size_t
offset_of(const char *text, int position)
{
    size_t i = 0;

    for (int n = 1; text[i] != '\0' && n < position; n++)
    {
        i++;
        while (((unsigned char) text[i] & 0xC0U) == 0x80U)
            i++;
    }
    return i;
}

/* What is being read of one statement. */
typedef struct cutter
{
    const char *text;
    const token *tokens;
    size_t first; /* its tokens: [first, last) */
    size_t last;
} cutter;

static bool
is_word(const cutter *c, size_t i, const char *word)
{
    if (i >= c->last)
        return false;

    const token *t = &c->tokens[i];
    size_t length = strlen(word);
    return t->end - t->start == length && strncasecmp(c->text + t->start, word, length) == 0;
}

static bool
has_word(const cutter *c, const char *word)
{
    for (size_t i = c->first; i < c->last; i++)
        if (is_word(c, i, word))
            return true;
    return false;
}

/* The words, from the statement's i-th token on, separated by blanks in `words`. */
static bool
is_phrase(const cutter *c, size_t i, const char *words)
{
    char word[32];

    while (*words != '\0')
    {
        size_t n = strcspn(words, " ");
        if (n >= sizeof word)
            return false;
        memcpy(word, words, n);
        word[n] = '\0';
        if (!is_word(c, i++, word))
            return false;
        words += n;
        words += strspn(words, " ");
    }
    return true;
}

static const char *
forbidden_start(const cutter *c)
{
    static const char *const words[] = {"begin",
                                        "commit",
                                        "rollback",
                                        "end",
                                        "savepoint",
                                        "release",
                                        "abort",
                                        "start transaction",
                                        "prepare transaction"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (is_phrase(c, c->first, words[i]))
            return "controls the transaction; each step is one transaction of its own (see `transaction: "
                   "false`)";
    return NULL;
}

/* COPY with data of the client: there is no client that could send or take it. */
static bool
is_client_copy(const cutter *c)
{
    int depth = 0;

    if (!is_word(c, c->first, "copy"))
        return false;
    for (size_t i = c->first + 1; i + 1 < c->last; i++)
    {
        char head = c->text[c->tokens[i].start];
        depth += head == '(' ? 1 : (head == ')' ? -1 : 0);
        if (depth == 0 && (is_phrase(c, i, "from stdin") || is_phrase(c, i, "to stdout")))
            return true;
    }
    return false;
}

/* Statements that PostgreSQL refuses inside a transaction block (PreventInTransactionBlock). */
static bool
is_outside_only(const cutter *c)
{
    static const char *const always[] = {
        "vacuum",          "create database",     "drop database",    "create tablespace",
        "drop tablespace", "alter system",        "reindex database", "reindex system",
        "reindex schema",  "create subscription", "drop subscription"};
    static const char *const concurrent[] = {"create index", "create unique index", "drop index", "reindex"};

    for (size_t i = 0; i < sizeof always / sizeof always[0]; i++)
        if (is_phrase(c, c->first, always[i]))
            return true;
    for (size_t i = 0; i < sizeof concurrent / sizeof concurrent[0]; i++)
        if (is_phrase(c, c->first, concurrent[i]))
            return has_word(c, "concurrently");
    if (is_word(c, c->first, "cluster"))
        return c->last - c->first == 1;
    if (is_phrase(c, c->first, "alter table"))
        return has_word(c, "detach") && has_word(c, "concurrently");
    return is_phrase(c, c->first, "alter database") && has_word(c, "tablespace");
}

static void
classify(const cutter *c, pawl_sql_statement *s)
{
    for (size_t i = c->first; i < c->last && s->forbidden == NULL; i++)
    {
        if (c->text[c->tokens[i].start] == '\\')
        {
            s->forbidden = "is a command of psql, which the server does not know";
            s->forbidden_line = line_of(c->text, c->tokens[i].start);
        }
    }
    if (s->forbidden == NULL)
    {
        s->forbidden = forbidden_start(c);
        if (s->forbidden == NULL && is_client_copy(c))
            s->forbidden = "moves data through the client; use INSERT, or COPY with a file of the server";
        s->forbidden_line = s->line;
    }
    s->is_outside_only = is_outside_only(c);
}

/* The end of the statement that begins at token `first`: its semicolon, or the end of the list. */
static size_t
statement_end(const cutter *all, size_t first)
{
    cutter c = {.text = all->text, .tokens = all->tokens, .first = first, .last = all->last};
    size_t at = is_phrase(&c, first, "create or replace") ? first + 3 : first + 1;
    bool is_routine =
        is_word(&c, first, "create") && (is_word(&c, at, "function") || is_word(&c, at, "procedure"));
    int parens = 0;
    int blocks = 0;

    for (size_t i = first; i < all->last; i++)
    {
        char head = c.text[c.tokens[i].start];
        if (head == '(')
            parens++;
        else if (head == ')' && parens > 0)
            parens--;
        else if (head == ';' && parens == 0 && blocks == 0)
            return i;
        else if (is_routine && parens == 0 &&
                 (is_word(&c, i, "begin") || (blocks > 0 && is_word(&c, i, "case"))))
            blocks++;
        else if (blocks > 0 && is_word(&c, i, "end"))
            blocks--;
    }
    return all->last;
}

static pawl_status
cut(const char *text, const token_list *tokens, pawl_arena *arena, pawl_sql_text *out, pawl_error *err)
{
    cutter all = {.text = text, .tokens = tokens->items, .last = tokens->length};

    out->items = pawl_arena_array(arena, tokens->length + 1, sizeof *out->items);
    if (out->items == NULL)
        return pawl_error_nomem(err, "the statements of a step");

    for (size_t i = 0; i < tokens->length;)
    {
        size_t end = statement_end(&all, i);
        if (end > i)
        {
            cutter c = {.text = text, .tokens = tokens->items, .first = i, .last = end};
            /* Up to the semicolon, and not to the last token's end: the scanner gives U&"..." too short. */
            size_t start = tokens->items[i].start;
            size_t stop = end < tokens->length ? tokens->items[end].start : strlen(text);
            pawl_sql_statement *s = &out->items[out->length];

            s->text = pawl_arena_strndup(arena, text + start, stop - start);
            if (s->text == NULL)
                return pawl_error_nomem(err, "the statements of a step");
            s->line = line_of(text, start);
            classify(&c, s);
            out->length++;
        }
        i = end + 1;
    }
    return PAWL_OK;
}

/* Comments are tokens of the scanner; they are no part of a statement's words. */
static void
drop_comments(const char *text, token_list *tokens)
{
    size_t kept = 0;

    for (size_t i = 0; i < tokens->length; i++)
    {
        const char *at = text + tokens->items[i].start;
        if (strncmp(at, "--", 2) != 0 && strncmp(at, "/*", 2) != 0)
            tokens->items[kept++] = tokens->items[i];
    }
    tokens->length = kept;
}

/* The tokens without comments; false when the scanner cannot read the text, or there is no memory. */
static bool
can_scan(const char *text, token_list *tokens)
{
    PgQueryScanResult scan = pg_query_scan(text);
    const unsigned char *bytes = (const unsigned char *) scan.pbuf.data;
    bool is_read =
        scan.error == NULL && can_read_tokens((wire){.at = bytes, .end = bytes + scan.pbuf.len}, tokens);

    pg_query_free_scan_result(scan);
    if (is_read)
        drop_comments(text, tokens);
    return is_read;
}

/* An identifier as the server would understand it; what is written with U& counts as any. */
static bool
is_name(const char *at, size_t length, const char *name)
{
    size_t n = 0;

    /* Whatever the length: the scanner gives U&"..." too short. */
    if ((at[0] == 'u' || at[0] == 'U') && at[1] == '&' && at[2] == '"')
        return true;
    if (at[0] != '"')
    {
        for (; n < length && name[n] != '\0'; n++)
            if ((at[n] >= 'A' && at[n] <= 'Z' ? at[n] - 'A' + 'a' : at[n]) != name[n])
                return false;
        return n == length && name[n] == '\0';
    }
    for (size_t i = 1; i + 1 < length; i++, n++)
    {
        if (at[i] != name[n] || name[n] == '\0')
            return false;
        if (at[i] == '"')
            i++;
    }
    return name[n] == '\0';
}

/* The row as a whole: t, t.* or (t), and not the t of t.price. */
static bool
is_whole_row(const char *text, const token_list *tokens, size_t i)
{
    const token *t = &tokens->items[i];

    if (!is_name(text + t->start, t->end - t->start, "t"))
        return false;
    return i + 2 >= tokens->length || text[tokens->items[i + 1].start] != '.' ||
           text[tokens->items[i + 2].start] == '*';
}

bool
pawl_sql_can_read(const char *expression, const char *column)
{
    token_list tokens = {0};
    bool may = !can_scan(expression, &tokens);

    for (size_t i = 0; !may && i < tokens.length; i++)
    {
        const token *t = &tokens.items[i];

        may =
            is_name(expression + t->start, t->end - t->start, column) || is_whole_row(expression, &tokens, i);
    }
    pawl_vec_fini(&tokens);
    return may;
}

pawl_status
pawl_sql_split(const char *text, pawl_arena *arena, pawl_sql_text **out, pawl_error *err)
{
    pawl_sql_text *split = pawl_arena_alloc(arena, sizeof *split);
    token_list tokens = {0};
    pawl_status st = PAWL_OK;

    if (split == NULL)
        return pawl_error_nomem(err, "the statements of a step");

    PgQueryScanResult scan = pg_query_scan(text);
    if (scan.error != NULL)
    {
        split->error = pawl_arena_strdup(arena, scan.error->message);
        split->error_line = line_of(text, offset_of(text, scan.error->cursorpos));
        if (split->error == NULL)
            st = pawl_error_nomem(err, "the statements of a step");
    }
    else
    {
        const unsigned char *bytes = (const unsigned char *) scan.pbuf.data;
        if (!can_read_tokens((wire){.at = bytes, .end = bytes + scan.pbuf.len}, &tokens))
            st = pawl_error_nomem(err, "the statements of a step");
    }
    pg_query_free_scan_result(scan);

    if (st == PAWL_OK && split->error == NULL)
    {
        drop_comments(text, &tokens);
        st = cut(text, &tokens, arena, split, err);
    }
    pawl_vec_fini(&tokens);
    if (st == PAWL_OK)
        *out = split;
    return st;
}
