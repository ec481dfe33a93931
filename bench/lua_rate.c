/*
 * Rows a second that one Lua state transforms: an int key and a text in, a numeric out. See bench/README.md.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lua/transform.h"
#include "util/clock.h"
#include "util/strbuf.h"

#include "util/banned.h"

#define ROWS   10000
#define ROUNDS 200

static char keys[ROWS][12];
static char texts[ROWS][16];
static size_t written;

static pawl_lua_value
get(void *ctx, int row, int column)
{
    const char *text = column == 0 ? keys[row] : texts[row];

    (void) ctx;
    return (pawl_lua_value){text, strlen(text)};
}

static pawl_status
put(void *ctx, int row, const pawl_lua_answer *answer, pawl_error *err)
{
    (void) ctx;
    (void) row;
    (void) err;
    written += answer->values[0].length;
    return PAWL_OK;
}

int
main(int argc, char **argv)
{
    static const pawl_lua_column read[] = {{"id", "integer", 23, 0, true}, {"price", "text", 25, 0, false}};
    static const pawl_lua_column write[] = {{"price_amount", "numeric(10,2)", 1700, 0, false}};
    const pawl_lua_options options = {.root = argc > 1 ? argv[1] : ".",
                                      .file = argc > 2 ? argv[2] : "transforms/rate.lua",
                                      .entry = "row",
                                      .read = read,
                                      .nread = 2,
                                      .write = write,
                                      .nwrite = 1};
    const pawl_lua_rows rows = {.count = ROWS, .get = get, .put = put};
    pawl_lua *lua = NULL;
    pawl_error err = PAWL_ERROR_INIT;
    int failed = -1;
    int64_t start;
    int64_t best = INT64_MAX;

    for (int i = 0; i < ROWS; i++)
    {
        pawl_fmt(keys[i], sizeof keys[i], "%d", i + 1);
        pawl_fmt(texts[i], sizeof texts[i], "%d.%02d", i * 7 % 5000, i % 100);
    }
    if (pawl_lua_open(&options, &lua, &err) != PAWL_OK)
    {
        fprintf(stderr, "%s\n", err.message);
        return EXIT_FAILURE;
    }
    for (int round = 0; round < ROUNDS; round++)
    {
        start = pawl_clock_us();
        if (pawl_lua_run(lua, &rows, &failed, &err) != PAWL_OK)
        {
            fprintf(stderr, "row %d: %s\n", failed, err.message);
            pawl_lua_close(lua);
            return EXIT_FAILURE;
        }
        start = pawl_clock_us() - start;
        if (start < best)
            best = start;
    }
    printf("%.0f rows/s, %.0f ns a row (best of %d rounds of %d rows; %zu bytes written, %zu bytes held)\n",
           (double) ROWS * 1e6 / (double) best, (double) best * 1e3 / ROWS, ROUNDS, ROWS, written,
           pawl_lua_memory(lua, NULL));
    pawl_lua_close(lua);
    return EXIT_SUCCESS;
}
