/*
 * Answers questions about histories, a line each, so that another program can compare the answers with those of another
 * tool. Reads commands from standard input:
 *
 *   graph                            begin a history
 *   rev ID PARENTS DEPENDS LABELS    lists with commas, or -
 *   applied IDS                      what is applied, or -
 *   link                             tie it
 *   up TARGET, down TARGET, range A:B, stamp T,T [purge], all TARGET, heads, bases, current, branches
 *
 * and prints "ok ID ID ..." or "error MESSAGE" for each question and for link.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "revision/graph.h"
#include "util/strbuf.h"

#include "util/banned.h"

#define WORDS 6

typedef struct session
{
    pawl_arena *arena;
    pawl_problems *problems;
    pawl_graph *g;
    pawl_error err;
} session;

static void
must(bool is_good, const char *what)
{
    if (is_good)
        return;
    (void) fprintf(stderr, "answer: %s\n", what);
    exit(1);
}

static void
drop(session *s)
{
    pawl_graph_free(s->g);
    pawl_problems_free(s->problems);
    pawl_arena_free(s->arena);
    *s = (session){.err = PAWL_ERROR_INIT};
}

static const char *
list_of(const char *word)
{
    return word == NULL || strcmp(word, "-") == 0 ? "" : word;
}

static void
add_revision(session *s, char *const *words)
{
    PAWL_STRBUF_AUTO(text);
    char name[64];
    pawl_revision *revision = NULL;

    pawl_fmt(name, sizeof name, "%s.yaml", words[1]);
    pawl_strbuf_addf(&text, "revision: \"%s\"\nparents: [%s]\ndepends_on: [%s]\nlabels: [%s]\nup: []\n",
                     words[1], list_of(words[2]), list_of(words[3]), list_of(words[4]));
    must(pawl_revision_parse(name, text.data, text.length, s->arena, s->problems, &revision, &s->err) ==
                 PAWL_OK &&
             revision != NULL && pawl_graph_add(s->g, revision, &s->err) == PAWL_OK,
         "a revision cannot be used");
}

static void
add_applied(session *s, char *ids)
{
    char *save = NULL;

    for (char *id = strtok_r(ids, ",", &save); id != NULL; id = strtok_r(NULL, ",", &save))
        must(pawl_graph_add_applied(s->g, id, NULL, 0, &s->err) == PAWL_OK, "memory");
}

static void
print_nodes(const session *s, const size_t *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        (void) printf(" %s", pawl_graph_node(s->g, list[i])->id);
}

static void
print_answer(const session *s, pawl_status st, const size_t *list, size_t count)
{
    if (st != PAWL_OK)
    {
        (void) printf("error %s\n", s->err.message);
        return;
    }
    (void) printf("ok");
    print_nodes(s, list, count);
    (void) printf("\n");
}

static void
answer_link(session *s)
{
    must(pawl_graph_link(s->g, s->problems, &s->err) == PAWL_OK, "memory");
    if (pawl_problems_count(s->problems) == 0)
        (void) printf("ok\n");
    else
        (void) printf("error %s\n", pawl_problems_get(s->problems, 0)->message);
}

static void
answer_stamp(session *s, char *const *words)
{
    const char *targets[16];
    size_t count = 0;
    char *save = NULL;
    pawl_graph_change change = {0};

    for (char *t = strtok_r(words[1], ",", &save); t != NULL && count < 16; t = strtok_r(NULL, ",", &save))
        targets[count++] = t;
    if (pawl_graph_stamp(s->g, targets, count, words[2] != NULL, &change, &s->err) != PAWL_OK)
    {
        (void) printf("error %s\n", s->err.message);
        return;
    }
    (void) printf("ok");
    print_nodes(s, change.removed, change.nremoved);
    (void) printf(" |");
    print_nodes(s, change.added, change.nadded);
    (void) printf("\n");
}

typedef pawl_status (*plain_question)(pawl_graph *g, size_t **out, size_t *count, pawl_error *err);
typedef pawl_status (*target_question)(pawl_graph *g, const char *target, size_t **out, size_t *count,
                                       pawl_error *err);

static void
answer(session *s, char *const *words)
{
    static const struct
    {
        const char *word;
        plain_question plain;
        target_question target;
    } questions[] = {
        {"heads", pawl_graph_heads, NULL},     {"bases", pawl_graph_bases, NULL},
        {"current", pawl_graph_current, NULL}, {"branches", pawl_graph_branch_points, NULL},
        {"up", NULL, pawl_graph_upgrade_path}, {"down", NULL, pawl_graph_downgrade_path},
        {"range", NULL, pawl_graph_range},     {"all", NULL, pawl_graph_resolve_all},
    };
    size_t *list = NULL;
    size_t count = 0;
    pawl_status st;

    for (size_t i = 0; i < sizeof questions / sizeof questions[0]; i++)
    {
        if (strcmp(words[0], questions[i].word) != 0)
            continue;
        st = questions[i].plain != NULL ? questions[i].plain(s->g, &list, &count, &s->err)
                                        : questions[i].target(s->g, words[1], &list, &count, &s->err);
        print_answer(s, st, list, count);
        return;
    }
    must(false, "no such command");
}

static void
obey(session *s, char *const *words)
{
    if (strcmp(words[0], "graph") == 0)
    {
        drop(s);
        s->arena = pawl_arena_new();
        s->problems = pawl_problems_new();
        must(s->arena != NULL && s->problems != NULL && pawl_graph_new(&s->g, &s->err) == PAWL_OK, "memory");
    }
    else if (strcmp(words[0], "rev") == 0)
        add_revision(s, words);
    else if (strcmp(words[0], "applied") == 0 && strcmp(words[1], "-") != 0)
        add_applied(s, words[1]);
    else if (strcmp(words[0], "link") == 0)
        answer_link(s);
    else if (strcmp(words[0], "stamp") == 0)
        answer_stamp(s, words);
    else if (strcmp(words[0], "applied") != 0)
        answer(s, words);
}

int
main(void)
{
    static char line[1 << 20];
    session s = {.err = PAWL_ERROR_INIT};

    while (fgets(line, sizeof line, stdin) != NULL)
    {
        char *words[WORDS] = {NULL};
        char *save = NULL;
        size_t n = 0;

        for (char *w = strtok_r(line, " \n", &save); w != NULL && n < WORDS; w = strtok_r(NULL, " \n", &save))
            words[n++] = w;
        if (n > 0)
            obey(&s, words);
    }
    drop(&s);
    return 0;
}
