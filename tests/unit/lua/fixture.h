/*
 * fixture.h - a migrations directory in a temporary place, rows from a matrix of texts, answers as texts.
 *
 * Threads: a fixture belongs to one thread.
 * Memory:  setup and teardown of cmocka create and remove the directory; answers are kept until the next run.
 */
#ifndef PAWL_TEST_LUA_FIXTURE_H
#define PAWL_TEST_LUA_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lua/transform.h"
#include "util/alloc.h"
#include "util/file.h"
#include "util/strbuf.h"

#define MAX_COLUMNS 8
#define MAX_ROWS    16

/* Types by their fixed object identifiers. */
#define T_BOOL    16
#define T_BYTEA   17
#define T_INT8    20
#define T_INT2    21
#define T_INT4    23
#define T_TEXT    25
#define T_OID     26
#define T_JSON    114
#define T_FLOAT4  700
#define T_FLOAT8  701
#define T_DATE    1082
#define T_NUMERIC 1700
#define T_JSONB   3802

typedef struct fixture
{
    char root[64];
    pawl_lua_options options;
    pawl_lua_column read[MAX_COLUMNS];
    pawl_lua_column write[MAX_COLUMNS];
    const char *cells[MAX_ROWS][MAX_COLUMNS]; /* NULL: SQL NULL */
    int nrows;

    char *answers
        [MAX_ROWS]; /* "col=text col=NULL", "leave", "reject: reason"; " | " between those of one row */
    int puts;
    pawl_status put_status; /* what put returns */
    int put_fails_at;       /* at this row, -1: never */

    pawl_lua *lua;
    int failed_row;
    pawl_error err;
    pawl_strbuf log;
} fixture;

static inline void
fx_log(void *ctx, const char *text)
{
    fixture *fx = ctx;

    pawl_strbuf_add(&fx->log, text);
    pawl_strbuf_addc(&fx->log, '\n');
}

static inline int
fx_setup(void **state)
{
    fixture *fx = pawl_calloc(1, sizeof *fx);

    assert_non_null(fx);
    pawl_fmt(fx->root, sizeof fx->root, "/tmp/pawl_lua_XXXXXX");
    assert_non_null(mkdtemp(fx->root));
    pawl_strbuf_init(&fx->log);
    fx->put_fails_at = -1;
    fx->options = (pawl_lua_options){.root = fx->root,
                                     .file = "transforms/t.lua",
                                     .entry = "row",
                                     .read = fx->read,
                                     .write = fx->write,
                                     .log = fx_log,
                                     .log_ctx = fx};
    *state = fx;
    return 0;
}

static inline void
fx_close(fixture *fx)
{
    pawl_lua_close(fx->lua);
    fx->lua = NULL;
}

static inline int
fx_teardown(void **state)
{
    fixture *fx = *state;
    char command[200];
    FILE *rm;

    fx_close(fx);
    for (int i = 0; i < MAX_ROWS; i++)
        pawl_free(fx->answers[i]);
    pawl_strbuf_fini(&fx->log);
    pawl_fmt(command, sizeof command, "rm -rf '%s'", fx->root);
    rm = popen(command, "r");
    if (rm != NULL)
        (void) pclose(rm);
    pawl_free(fx);
    return 0;
}

/* Write a file below the root, over what is there. */
static inline void
fx_file_n(fixture *fx, const char *name, const char *text, size_t length)
{
    PAWL_AUTO(pawl_str) path = pawl_file_join(fx->root, name);
    PAWL_AUTO(pawl_str) dir = pawl_strdup(path);
    FILE *f;

    *strrchr(dir, '/') = '\0';
    assert_int_equal(pawl_file_mkdirs(dir), 0);
    f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, length, f), length);
    assert_int_equal(fclose(f), 0);
}

static inline void
fx_file(fixture *fx, const char *name, const char *text)
{
    fx_file_n(fx, name, text, strlen(text));
}

static inline void
fx_read(fixture *fx, const char *name, uint32_t type, uint32_t element, const char *type_name)
{
    fx->read[fx->options.nread] = (pawl_lua_column){name, type_name, type, element, fx->options.nread == 0};
    fx->options.nread++;
}

static inline void
fx_write(fixture *fx, const char *name, uint32_t type, uint32_t element, const char *type_name)
{
    fx->write[fx->options.nwrite++] = (pawl_lua_column){name, type_name, type, element, false};
}

/* id int8, a text -> a text, n numeric(10,2) */
static inline void
fx_columns(fixture *fx)
{
    fx_read(fx, "id", T_INT8, 0, "bigint");
    fx_read(fx, "a", T_TEXT, 0, "text");
    fx_write(fx, "a", T_TEXT, 0, "text");
    fx_write(fx, "n", T_NUMERIC, 0, "numeric(10,2)");
}

static inline void
fx_row(fixture *fx, const char *first, const char *second)
{
    fx->cells[fx->nrows][0] = first;
    fx->cells[fx->nrows++][1] = second;
}

static inline pawl_lua_value
fx_get(void *ctx, int row, int column)
{
    fixture *fx = ctx;
    const char *text = fx->cells[row][column];

    return (pawl_lua_value){text, text == NULL ? 0 : strlen(text)};
}

static inline pawl_status
fx_put(void *ctx, int row, const pawl_lua_answer *answer, pawl_error *err)
{
    fixture *fx = ctx;
    pawl_strbuf b = PAWL_STRBUF_INIT;

    if (row == fx->put_fails_at)
    {
        err->code = fx->put_status;
        pawl_fmt(err->message, sizeof err->message, "put failed");
        return fx->put_status;
    }
    if (fx->answers[row] != NULL)
        pawl_strbuf_addf(&b, "%s | ", fx->answers[row]);
    if (answer->verdict == PAWL_LUA_LEAVE)
        pawl_strbuf_add(&b, "leave");
    else if (answer->verdict == PAWL_LUA_REJECT)
        pawl_strbuf_addf(&b, "reject: %s", answer->reason);

    size_t start = b.length;

    for (int i = 0; answer->verdict == PAWL_LUA_WRITE && i < pawl_lua_written(fx->lua); i++)
    {
        if (!answer->is_set[i])
            continue;
        pawl_strbuf_addf(&b, "%s%s=", b.length > start ? " " : "", pawl_lua_written_name(fx->lua, i));
        if (answer->values[i].data == NULL)
            pawl_strbuf_add(&b, "NULL");
        else
            pawl_strbuf_addn(&b, answer->values[i].data, answer->values[i].length);
    }
    pawl_free(fx->answers[row]);
    fx->answers[row] = pawl_strbuf_take(&b);
    pawl_strbuf_fini(&b);
    fx->puts++;
    return PAWL_OK;
}

/* Open transforms/t.lua, which gets `lua` as its text. */
static inline pawl_status
fx_open(fixture *fx, const char *lua)
{
    fx_close(fx);
    fx_file(fx, "transforms/t.lua", lua);
    fx->err = (pawl_error) PAWL_ERROR_INIT;
    return pawl_lua_open(&fx->options, &fx->lua, &fx->err);
}

static inline pawl_status
fx_run(fixture *fx)
{
    const pawl_lua_rows rows = {.count = fx->nrows, .ctx = fx, .get = fx_get, .put = fx_put};

    fx->err = (pawl_error) PAWL_ERROR_INIT;
    fx->failed_row = -2;
    fx->puts = 0;
    for (int i = 0; i < MAX_ROWS; i++)
    {
        pawl_free(fx->answers[i]);
        fx->answers[i] = NULL;
    }
    return pawl_lua_run(fx->lua, &rows, &fx->failed_row, &fx->err);
}

/* Open and run; both must work. */
static inline void
fx_ok(fixture *fx, const char *lua)
{
    if (fx_open(fx, lua) != PAWL_OK)
        fail_msg("open: %s (%s:%d) %s", fx->err.message, fx->err.file, fx->err.line, fx->err.detail);
    if (fx_run(fx) != PAWL_OK)
        fail_msg("run: %s (%s:%d) %s", fx->err.message, fx->err.file, fx->err.line, fx->err.detail);
}

/* Open works, run fails with PAWL_E_TRANSFORM and a message that contains `part`. */
static inline void
fx_fails(fixture *fx, const char *lua, const char *part)
{
    if (fx_open(fx, lua) != PAWL_OK)
        fail_msg("open: %s (%s:%d)", fx->err.message, fx->err.file, fx->err.line);
    assert_int_equal(fx_run(fx), PAWL_E_TRANSFORM);
    assert_int_equal(fx->err.code, PAWL_E_TRANSFORM);
    if (strstr(fx->err.message, part) == NULL)
        fail_msg("\"%s\" does not contain \"%s\"", fx->err.message, part);
}

#define FX_TEST(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)

#endif
