/* What people and programs are shown: texts, bars, events, errors, entries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/bar.h"
#include "cli/entry.h"
#include "cli/json.h"
#include "cli/render.h"
#include "cli/report.h"
#include "cli/state.h"
#include "cli/table.h"

#include "util/banned.h"

/* ---- texts ---------------------------------------------------------------------------------------------------- */

static void
assert_safe(const char *text, const char *expected)
{
    PAWL_CLI_BUF buf = {0};

    pawl_cli_safe(&buf, text);
    assert_string_equal(pawl_cli_buf_text(&buf), expected);
}

static void
nothing_that_steers_a_terminal_gets_through(void **state)
{
    (void) state;
    assert_safe("plain, \"quoted\", caf\xC3\xA9", "plain, \"quoted\", caf\xC3\xA9");
    assert_safe("\033[31mred\a", "\\x1b[31mred\\x07");
    assert_safe("a\nb\tc\rd", "a\\nb\\tc\\rd");
    assert_safe("\xC2\x9B"
                "31m",
                "\\u009b31m"); /* C1: an escape sequence in one character */
    assert_safe("\xE2\x80\xAE"
                "abc",
                "\\u202eabc"); /* right-to-left override */
    assert_safe("\xFF\xC0\xAF\xED\xA0\x80",
                "\\xff\\xc0\\xaf\\xed\\xa0\\x80"); /* no UTF-8: stray, overlong, surrogate */
    assert_safe("cut \xE2\x82", "cut \\xe2\\x82");
}

static void
lines_stay_lines_where_they_may(void **state)
{
    PAWL_CLI_BUF buf = {0};

    (void) state;
    pawl_cli_safe_lines(&buf, "one\ntwo\033\n\n", "  ");
    assert_string_equal(pawl_cli_buf_text(&buf), "one\n  two\\x1b");
}

static void
widths_are_columns_and_not_bytes(void **state)
{
    (void) state;
    assert_int_equal(pawl_cli_width("abc"), 3);
    assert_int_equal(pawl_cli_width("caf\xC3\xA9"), 4);
    assert_int_equal(pawl_cli_width("e\xCC\x81"), 1);                /* combining accent */
    assert_int_equal(pawl_cli_width("\xE4\xBE\xA1\xE6\xA0\xBC"), 4); /* two wide characters */
    assert_int_equal(pawl_cli_width("\xF0\x9F\x98\x80"), 2);         /* an emoji */
}

static void
what_does_not_fit_is_cut_between_characters(void **state)
{
    static const struct
    {
        const char *text;
        size_t columns;
        const char *expected;
    } cases[] = {
        {"abcdef", 6, "abcdef"},
        {"abcdefg", 6, "abc..."},
        {"abcdefg", 3, "abc"},
        {"abc", 0, ""},
        {"a\xE4\xBE\xA1\xE6\xA0\xBC\xE6\xA0\xBC", 6, "a\xE4\xBE\xA1..."},
    };

    (void) state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    {
        PAWL_CLI_BUF buf = {0};

        pawl_cli_fit(&buf, cases[i].text, cases[i].columns);
        assert_string_equal(pawl_cli_buf_text(&buf), cases[i].expected);
    }
}

static void
numbers_and_durations_read_well(void **state)
{
    static const struct
    {
        void (*write)(pawl_cli_buf *, int64_t);
        int64_t n;
        const char *expected;
    } cases[] = {
        {pawl_cli_count, 0, "0"},
        {pawl_cli_count, 999, "999"},
        {pawl_cli_count, 1000, "1,000"},
        {pawl_cli_count, -123456, "-123,456"},
        {pawl_cli_count, INT64_MIN, "-9,223,372,036,854,775,808"},
        {pawl_cli_short_count, 999, "999"},
        {pawl_cli_short_count, 1000, "1.0k"},
        {pawl_cli_short_count, 999949, "999.9k"},
        {pawl_cli_short_count, 999950, "1.0M"},
        {pawl_cli_short_count, 84000000, "84.0M"},
        {pawl_cli_duration, 0, "0.0 s"},
        {pawl_cli_duration, 9949, "9.9 s"},
        {pawl_cli_duration, 9950, "10 s"},
        {pawl_cli_duration, 59499, "59 s"},
        {pawl_cli_duration, 59500, "1 min 00 s"},
        {pawl_cli_duration, 3599500, "1 h 00 min"},
        {pawl_cli_duration, 90000000, "1 d 01 h"},
        {pawl_cli_duration, -1500, "-1.5 s"},
    };

    (void) state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    {
        PAWL_CLI_BUF buf = {0};

        cases[i].write(&buf, cases[i].n);
        assert_string_equal(pawl_cli_buf_text(&buf), cases[i].expected);
    }
}

static void
a_table_is_as_wide_as_its_cells(void **state)
{
    pawl_cli_table table = {.ncolumns = 3, .headings = {"name", "n", ""}, .is_right = {false, true, false}};
    PAWL_CLI_BUF buf = {0};

    (void) state;
    pawl_cli_table_add(&table, "caf\xC3\xA9 x");
    pawl_cli_table_add(&table, "1,000");
    pawl_cli_table_add(&table, "");
    pawl_cli_table_add(&table, "a\033");
    pawl_cli_table_add(&table, "7");
    pawl_cli_table_add(&table, "<-");
    pawl_cli_table_print(&table, &buf, " ", false);
    assert_string_equal(pawl_cli_buf_text(&buf), " name        n\n"
                                                 " caf\xC3\xA9 x  1,000\n"
                                                 " a\\x1b       7  <-\n");
    pawl_cli_table_free(&table);
}

/* ---- bars ----------------------------------------------------------------------------------------------------- */

static pawl_progress
half_done(void)
{
    return (pawl_progress){
        .job_id = 7,
        .rows_total = 200000000,
        .rows_read = 84000000,
        .rows_written = 84000000,
        .rows_per_s = 31204.4,
        .eta_ms = 3720000,
        .workers = 2,
        .batch_rows = 5000,
    };
}

static void
a_bar_fills_by_eighths_or_by_columns(void **state)
{
    static const struct
    {
        double percent;
        bool has_utf8;
        const char *expected;
    } cases[] = {
        {0.0, false, "[----]"},  {50.0, false, "[##--]"},  {99.9, false, "[###-]"}, {100.0, false, "[####]"},
        {-5.0, false, "[----]"}, {250.0, false, "[####]"}, {62.5, true, "[██▌ ]"},  {100.0, true, "[████]"},
    };

    (void) state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    {
        PAWL_CLI_BUF buf = {0};

        pawl_cli_bar(&buf, cases[i].percent, 4, cases[i].has_utf8);
        assert_string_equal(pawl_cli_buf_text(&buf), cases[i].expected);
    }
}

static void
the_line_never_is_wider_than_the_terminal(void **state)
{
    pawl_progress p = half_done();

    (void) state;
    p.rows_moved = 123456;
    p.rows_rejected = 7;
    memcpy(p.holding, "waiting for a lock on public.products", 38);
    for (size_t columns = 0; columns <= 250; columns++)
    {
        PAWL_CLI_BUF line = {0};
        pawl_cli_bar_style style = {.columns = columns, .has_utf8 = columns % 2 == 0};

        p.rows_total = columns % 3 == 0 ? 0 : 200000000;
        pawl_cli_bar_line(&line, &p, style);
        /* The percentage alone is never cut. */
        assert_in_range(pawl_cli_width(pawl_cli_buf_text(&line)), 0, columns < 7 ? 7 : columns);
    }
}

static void
the_least_important_is_left_out_first(void **state)
{
    pawl_progress p = half_done();
    PAWL_CLI_BUF wide = {0};
    PAWL_CLI_BUF narrow = {0};

    (void) state;
    p.rows_moved = 12;
    memcpy(p.holding, "reconnecting", 13);
    pawl_cli_bar_line(&wide, &p, (pawl_cli_bar_style){.columns = 160});
    assert_string_equal(pawl_cli_buf_text(&wide),
                        " 42.0% [############------------------]  84,000,000 of ~200,000,000 rows  31,204/s  "
                        "ETA 1 h 02 min  12 moved  2x5,000  reconnecting");
    pawl_cli_bar_line(&narrow, &p, (pawl_cli_bar_style){.columns = 70});
    assert_string_equal(pawl_cli_buf_text(&narrow),
                        " 42.0% [#######------------]  84.0M/200.0M rows  31.2k/s  reconnecting");
}

static void
without_a_total_there_is_no_percentage(void **state)
{
    pawl_progress p = half_done();
    PAWL_CLI_BUF line = {0};

    (void) state;
    p.rows_total = 0;
    p.eta_ms = -1;
    pawl_cli_bar_line(&line, &p, (pawl_cli_bar_style){.columns = 80});
    assert_string_equal(pawl_cli_buf_text(&line), "84,000,000 rows  31,204/s  2x5,000");
}

static void
an_estimate_that_was_too_low_does_not_say_done(void **state)
{
    pawl_progress p = half_done();

    (void) state;
    p.rows_read = 300000000;
    assert_true(pawl_cli_percent(&p) < 100.0);
}

/* ---- events --------------------------------------------------------------------------------------------------- */

static int64_t clock_ms;

static int64_t
fake_now(void)
{
    return clock_ms;
}

/* A render whose two streams are memory. */
typedef struct sheet
{
    pawl_cli_out out;
    pawl_cli_render render;
    FILE *messages;
    char *data_text;
    char *message_text;
    size_t data_length;
    size_t message_length;
} sheet;

static void
open_sheet(sheet *s, bool is_json, bool has_live)
{
    *s = (sheet){0};
    clock_ms = 1000;
    s->out.data = open_memstream(&s->data_text, &s->data_length);
    s->messages = open_memstream(&s->message_text, &s->message_length);
    assert_non_null(s->out.data);
    assert_non_null(s->messages);
    s->out.is_json = is_json;
    pawl_cli_screen_init(&s->out.screen, s->messages, has_live);
    pawl_cli_render_init(&s->render, &s->out);
    s->render.now_ms = fake_now;
}

static void
close_sheet(sheet *s)
{
    pawl_cli_screen_fini(&s->out.screen);
    assert_int_equal(fclose(s->out.data), 0);
    assert_int_equal(fclose(s->messages), 0);
    free(s->data_text);
    free(s->message_text);
}

static void
emit(sheet *s, const pawl_event *event)
{
    pawl_sink sink = pawl_cli_render_sink(&s->render);

    sink.emit(sink.ctx, event);
}

static void
emit_progress(sheet *s, int64_t at_ms)
{
    pawl_progress p = half_done();

    clock_ms = at_ms;
    emit(s, &(pawl_event){
                .kind = PAWL_EVENT_PROGRESS, .revision = "a1b2", .step = 2, .total = 3, .progress = &p});
}

static size_t
count_of(const char *text, const char *part)
{
    size_t n = 0;

    for (const char *at = strstr(text, part); at != NULL; at = strstr(at + 1, part))
        n++;
    return n;
}

static void
a_log_gets_progress_every_five_seconds(void **state)
{
    sheet s;

    (void) state;
    open_sheet(&s, false, false);
    for (int64_t ms = 0; ms < 12000; ms += 250)
        emit_progress(&s, 1000 + ms);
    assert_int_equal(count_of(s.message_text, "84,000,000 of ~200,000,000 rows"), 3);
    assert_null(strchr(s.message_text, '\r'));
    assert_int_equal(s.data_length, 0);
    close_sheet(&s);
}

static void
a_terminal_is_redrawn_at_most_five_times_a_second(void **state)
{
    sheet s;

    (void) state;
    open_sheet(&s, false, true);
    for (int64_t ms = 0; ms < 1000; ms += 10)
        emit_progress(&s, 1000 + ms);
    assert_int_equal(count_of(s.message_text, "42.0%"), 5);
    assert_int_equal(count_of(s.message_text, "\n"), 0);
    close_sheet(&s);
}

static void
a_line_is_written_above_the_live_one(void **state)
{
    sheet s;

    (void) state;
    open_sheet(&s, false, true);
    pawl_cli_screen_live(&s.out.screen, "LIVE");
    pawl_cli_screen_line(&s.out.screen, "line");
    pawl_cli_screen_live(&s.out.screen, "");
    pawl_cli_screen_live(&s.out.screen, "");
    assert_string_equal(s.message_text, "\r\033[KLIVE"
                                        "\r\033[Kline\nLIVE"
                                        "\r\033[K");
    close_sheet(&s);
}

static void
people_read_what_runs(void **state)
{
    sheet s;

    (void) state;
    open_sheet(&s, false, false);
    emit(&s, &(pawl_event){.kind = PAWL_EVENT_TARGET, .text = "shop on db1"});
    emit(&s, &(pawl_event){.kind = PAWL_EVENT_DEBUG, .text = "not without -v"});
    emit(&s, &(pawl_event){.kind = PAWL_EVENT_REVISION_BEGIN,
                           .revision = "a1b2",
                           .text = "Prices\033",
                           .count = 1,
                           .total = 2});
    emit(&s, &(pawl_event){.kind = PAWL_EVENT_STEP_SKIPPED, .step = 1, .total = 2, .text = "when: x.demo"});
    emit(&s, &(pawl_event){.kind = PAWL_EVENT_STEP_BEGIN, .step = 2, .total = 2, .text = "add column price"});
    emit(&s, &(pawl_event){.kind = PAWL_EVENT_STEP_END, .step = 2, .total = 2, .elapsed_ms = 1200});
    emit(&s, &(pawl_event){.kind = PAWL_EVENT_REVISION_END, .revision = "a1b2", .elapsed_ms = 61000});
    assert_string_equal(s.message_text, "pawl: target: shop on db1\n"
                                        "a1b2 (1 of 2): Prices\\x1b\n"
                                        "  step 1 of 2: skipped: when: x.demo\n"
                                        "  step 2 of 2: add column price\n"
                                        "  step 2 of 2: done in 1.2 s\n"
                                        "  done in 1 min 01 s\n");
    assert_int_equal(s.render.revisions, 1);
    close_sheet(&s);
}

static void
the_same_wait_is_told_again_only_after_a_while(void **state)
{
    sheet s;

    (void) state;
    open_sheet(&s, false, false);
    for (int64_t ms = 0; ms < 6000; ms += 500)
    {
        clock_ms = 1000 + ms;
        emit(&s, &(pawl_event){.kind = PAWL_EVENT_WAITING, .text = "a lock"});
    }
    emit(&s, &(pawl_event){.kind = PAWL_EVENT_WAITING, .text = "another lock"});
    assert_string_equal(s.message_text,
                        "    waiting: a lock\n    waiting: a lock\n    waiting: another lock\n");
    close_sheet(&s);
}

static void
quiet_says_nothing(void **state)
{
    sheet s;

    (void) state;
    open_sheet(&s, false, false);
    s.out.is_quiet = true;
    emit(&s, &(pawl_event){.kind = PAWL_EVENT_TARGET, .text = "shop"});
    emit(&s, &(pawl_event){.kind = PAWL_EVENT_WARNING, .text = "hm"});
    emit_progress(&s, 2000);
    emit(&s, &(pawl_event){.kind = PAWL_EVENT_REVISION_END, .revision = "a1b2"});
    assert_int_equal(s.message_length, 0);
    assert_int_equal(s.data_length, 0);
    assert_int_equal(s.render.revisions, 1);
    close_sheet(&s);
}

static int64_t
integer_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    assert_true(json_is_integer(value));
    return json_integer_value(value);
}

static void
each_event_is_one_json_object_a_line(void **state)
{
    json_t *json;
    sheet s;

    (void) state;
    open_sheet(&s, true, false);
    emit_progress(&s, 1000);
    assert_int_equal(s.message_length, 0);
    assert_int_equal(count_of(s.data_text, "\n"), 1);
    assert_ptr_equal(strchr(s.data_text, '\n'), s.data_text + s.data_length - 1);

    json = json_loads(s.data_text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(json);
    assert_string_equal(json_string_value(json_object_get(json, "event")), "progress");
    assert_string_equal(json_string_value(json_object_get(json, "revision")), "a1b2");
    assert_int_equal(integer_of(json, "step"), 2);
    assert_int_equal(integer_of(json, "rows_total"), 200000000);
    assert_int_equal(integer_of(json, "rows_read"), 84000000);
    assert_int_equal(integer_of(json, "eta_ms"), 3720000);
    assert_true(json_is_null(json_object_get(json, "holding")));
    assert_non_null(strstr(s.data_text, "\"rows_per_s\":31204.4,"));
    json_decref(json);
    close_sheet(&s);
}

static void
progress_that_does_not_say_its_step_belongs_to_the_one_that_runs(void **state)
{
    pawl_progress p = half_done();
    sheet s;

    (void) state;
    open_sheet(&s, true, false);
    emit(&s, &(pawl_event){.kind = PAWL_EVENT_STEP_BEGIN, .revision = "a1b2", .step = 2, .total = 3});
    emit(&s, &(pawl_event){.kind = PAWL_EVENT_PROGRESS, .progress = &p});
    assert_non_null(strstr(strchr(s.data_text, '\n'), "\"revision\":\"a1b2\",\"step\":2,"));
    close_sheet(&s);

    open_sheet(&s, true, false);
    emit(&s, &(pawl_event){.kind = PAWL_EVENT_STEP_END, .revision = "a1b2", .step = 2, .total = 3});
    emit(&s, &(pawl_event){.kind = PAWL_EVENT_REVISION_END, .revision = "a1b2"});
    emit(&s, &(pawl_event){.kind = PAWL_EVENT_WAITING, .text = "another pawl"});
    assert_null(strstr(strstr(s.data_text, "\"waiting\""), "revision"));
    close_sheet(&s);
}

static void
bytes_that_are_no_utf8_still_make_json(void **state)
{
    json_t *json = pawl_cli_json_text("a\xFF\"\n");

    (void) state;
    assert_non_null(json);
    assert_string_equal(json_string_value(json), "a\\xff\"\\n");
    json_decref(json);
}

static void
failed_writes_of_data_are_remembered(void **state)
{
    sheet s;
    FILE *full = fopen("/dev/full", "w");
    PAWL_CLI_BUF text = {0};

    (void) state;
    assert_non_null(full);
    open_sheet(&s, false, false);
    assert_int_equal(fclose(s.out.data), 0);
    s.out.data = full;
    pawl_cli_add(&text, "x\n");
    pawl_cli_print(&s.out, &text);
    assert_int_not_equal(s.out.write_errno, 0);
    s.out.data = tmpfile();
    (void) fclose(full);
    close_sheet(&s);
}

/* ---- errors and entries --------------------------------------------------------------------------------------- */

static void
an_error_names_place_detail_sqlstate_and_hint(void **state)
{
    pawl_error err = {
        .code = PAWL_E_SERVER,
        .sqlstate = "23505",
        .line = 12,
        .column = 3,
        .file = "migrations/a.yaml",
        .message = "step 2 failed: duplicate key \033[1m",
        .detail = "Key (id)=(7)\nsecond",
        .hint = "mend the row",
    };
    PAWL_CLI_BUF buf = {0};
    PAWL_CLI_BUF colored = {0};

    (void) state;
    pawl_cli_describe_error(&buf, &err, false);
    assert_string_equal(pawl_cli_buf_text(&buf), "pawl: error: step 2 failed: duplicate key \\x1b[1m\n"
                                                 "  at migrations/a.yaml:12:3\n"
                                                 "  Key (id)=(7)\n  second\n"
                                                 "  SQLSTATE 23505\n"
                                                 "  hint: mend the row");
    pawl_cli_describe_error(&colored, &err, true);
    assert_non_null(strstr(pawl_cli_buf_text(&colored), "\033[1;31merror:\033[0m"));
}

static void
to_be_stopped_is_no_error(void **state)
{
    pawl_error err = {.code = PAWL_E_STOPPED, .message = "stopped on request"};
    PAWL_CLI_BUF buf = {0};

    (void) state;
    pawl_cli_describe_error(&buf, &err, false);
    assert_string_equal(pawl_cli_buf_text(&buf), "pawl: stopped: stopped on request");
}

static void
an_error_as_json_has_every_key(void **state)
{
    pawl_error err = {.code = PAWL_E_CONNECT, .message = "no"};
    json_t *json = pawl_cli_json_error(&err);
    char *text = json_dumps(json, JSON_COMPACT);

    (void) state;
    assert_string_equal(text,
                        "{\"code\":\"connect\",\"sqlstate\":null,\"file\":null,\"line\":null,\"column\":null,"
                        "\"message\":\"no\",\"detail\":null,\"hint\":null}");
    free(text);
    json_decref(json);
}

static void
an_entry_shows_marks_of_the_database_only_when_it_was_asked(void **state)
{
    const char *parents[] = {"d17be032"};
    const char *labels[] = {"catalog"};
    pawl_history_entry entry = {
        .id = "a41c20f9",
        .description = "Store prices",
        .file = "a.yaml",
        .parents = parents,
        .nparents = 1,
        .labels = labels,
        .nlabels = 1,
        .is_head = true,
        .is_applied = true,
        .is_current = true,
        .state = "applied",
    };
    PAWL_CLI_BUF with = {0};
    PAWL_CLI_BUF without = {0};
    PAWL_CLI_BUF half = {0};
    PAWL_CLI_BUF base = {0};

    (void) state;
    pawl_cli_describe_entry(&with, &entry, (pawl_cli_entry_style){.has_database = true});
    assert_string_equal(pawl_cli_buf_text(&with),
                        "a41c20f9 [catalog] (head, current) <- d17be032: Store prices\n");
    pawl_cli_describe_entry(&without, &entry, (pawl_cli_entry_style){0});
    assert_string_equal(pawl_cli_buf_text(&without), "a41c20f9 [catalog] (head) <- d17be032: Store prices\n");

    entry.is_applied = entry.is_current = entry.is_head = false;
    entry.state = "applying";
    pawl_cli_describe_entry(&half, &entry, (pawl_cli_entry_style){.has_database = true});
    assert_string_equal(pawl_cli_buf_text(&half),
                        "a41c20f9 [catalog] (half-way, applying) <- d17be032: Store prices\n");

    entry.nparents = entry.nlabels = 0;
    entry.state = "";
    pawl_cli_describe_entry(&base, &entry, (pawl_cli_entry_style){.has_database = true});
    assert_string_equal(pawl_cli_buf_text(&base), "a41c20f9 (pending) <- base: Store prices\n");
}

static void
a_half_way_revision_shows_its_error_and_how_to_go_on(void **state)
{
    pawl_step_status steps[] = {
        {"a41c20f9", "up", 1, "add_column", "done", "", "10:00"},
        {"a41c20f9", "up", 2, "backfill", "failed", "price.lua:3: bad\nid = 7", "10:01"},
    };
    const char *heads[] = {"a41c20f9"};
    pawl_status_report report = {
        .target = "shop",
        .server = "PostgreSQL 15.18",
        .has_ledger = true,
        .ledger_version = 1,
        .heads = heads,
        .nheads = 1,
        .pending = 1,
        .runner = "",
        .steps = steps,
        .nsteps = 2,
    };
    PAWL_CLI_BUF buf = {0};
    PAWL_CLI_BUF running = {0};

    (void) state;
    pawl_cli_describe_state(&buf, &report, (pawl_cli_bar_style){.columns = 79});
    assert_non_null(strstr(pawl_cli_buf_text(&buf), "current  nothing is applied\n"));
    assert_non_null(strstr(pawl_cli_buf_text(&buf), "half-way a41c20f9, being applied\n"));
    assert_non_null(strstr(pawl_cli_buf_text(&buf), "           price.lua:3: bad\n           id = 7\n"));
    assert_non_null(strstr(pawl_cli_buf_text(&buf), "to go on: pawl upgrade\n"));

    report.runner = "db1:4242";
    report.runner_lease_left_ms = 20000;
    pawl_cli_describe_state(&running, &report, (pawl_cli_bar_style){.columns = 79});
    assert_null(strstr(pawl_cli_buf_text(&running), "to go on"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_that_steers_a_terminal_gets_through),
        cmocka_unit_test(lines_stay_lines_where_they_may),
        cmocka_unit_test(widths_are_columns_and_not_bytes),
        cmocka_unit_test(what_does_not_fit_is_cut_between_characters),
        cmocka_unit_test(numbers_and_durations_read_well),
        cmocka_unit_test(a_table_is_as_wide_as_its_cells),
        cmocka_unit_test(a_bar_fills_by_eighths_or_by_columns),
        cmocka_unit_test(the_line_never_is_wider_than_the_terminal),
        cmocka_unit_test(the_least_important_is_left_out_first),
        cmocka_unit_test(without_a_total_there_is_no_percentage),
        cmocka_unit_test(an_estimate_that_was_too_low_does_not_say_done),
        cmocka_unit_test(a_log_gets_progress_every_five_seconds),
        cmocka_unit_test(a_terminal_is_redrawn_at_most_five_times_a_second),
        cmocka_unit_test(a_line_is_written_above_the_live_one),
        cmocka_unit_test(people_read_what_runs),
        cmocka_unit_test(the_same_wait_is_told_again_only_after_a_while),
        cmocka_unit_test(quiet_says_nothing),
        cmocka_unit_test(each_event_is_one_json_object_a_line),
        cmocka_unit_test(progress_that_does_not_say_its_step_belongs_to_the_one_that_runs),
        cmocka_unit_test(bytes_that_are_no_utf8_still_make_json),
        cmocka_unit_test(failed_writes_of_data_are_remembered),
        cmocka_unit_test(an_error_names_place_detail_sqlstate_and_hint),
        cmocka_unit_test(to_be_stopped_is_no_error),
        cmocka_unit_test(an_error_as_json_has_every_key),
        cmocka_unit_test(an_entry_shows_marks_of_the_database_only_when_it_was_asked),
        cmocka_unit_test(a_half_way_revision_shows_its_error_and_how_to_go_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
