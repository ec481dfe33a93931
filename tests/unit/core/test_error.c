#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/error.h"
#include "core/log.h"

#include "util/banned.h"

static void
setting_starts_the_record_afresh(void **state)
{
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    assert_int_equal(pawl_error_set(&err, PAWL_E_SERVER, "first %d", 1), PAWL_E_SERVER);
    assert_int_equal(pawl_error_detail(&err, "a detail"), PAWL_E_SERVER);
    assert_int_equal(pawl_error_hint(&err, "a hint"), PAWL_E_SERVER);
    assert_int_equal(pawl_error_place(&err, "a.yaml", 3, 9), PAWL_E_SERVER);
    assert_int_equal(pawl_error_sqlstate(&err, "42P01"), PAWL_E_SERVER);
    assert_string_equal(err.message, "first 1");
    assert_string_equal(err.detail, "a detail");
    assert_string_equal(err.hint, "a hint");
    assert_string_equal(err.file, "a.yaml");
    assert_string_equal(err.sqlstate, "42P01");
    assert_int_equal(err.line, 3);
    assert_int_equal(err.column, 9);

    assert_int_equal(pawl_error_set(&err, PAWL_E_IO, "second"), PAWL_E_IO);
    assert_string_equal(err.message, "second");
    assert_string_equal(err.detail, "");
    assert_string_equal(err.hint, "");
    assert_string_equal(err.file, "");
    assert_string_equal(err.sqlstate, "");
    assert_int_equal(err.line, 0);
    assert_int_equal(err.column, 0);
}

static void
prefix_stands_before_the_message(void **state)
{
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    (void) pawl_error_set(&err, PAWL_E_INPUT, "no such column");
    assert_int_equal(pawl_error_prefix(&err, "step %d", 2), PAWL_E_INPUT);
    assert_string_equal(err.message, "step 2: no such column");
}

static void
record_may_be_built_from_itself(void **state)
{
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    (void) pawl_error_set(&err, PAWL_E_INPUT, "inner");
    (void) pawl_error_detail(&err, "was: %s", err.message);
    (void) pawl_error_set(&err, PAWL_E_IO, "outer (%s; %s)", err.message, err.detail);
    assert_string_equal(err.message, "outer (inner; was: inner)");
}

static void
long_texts_are_cut_with_a_mark(void **state)
{
    pawl_error err = PAWL_ERROR_INIT;
    char text[2000];

    (void) state;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    (void) pawl_error_set(&err, PAWL_E_INPUT, "%s", text);
    (void) pawl_error_hint(&err, "%s", text);
    (void) pawl_error_place(&err, text, 1, 1);
    (void) pawl_error_prefix(&err, "%s", "ab");
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    assert_string_equal(err.message + sizeof err.message - 4, "...");
    assert_memory_equal(err.message, "ab: xxx", 7);
    assert_string_equal(err.hint + sizeof err.hint - 4, "...");
    assert_string_equal(err.file + sizeof err.file - 4, "...");
}

static void
sqlstate_is_five_characters_or_empty(void **state)
{
    static const char *const bad[] = {"", "4200", "420011"};
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    (void) pawl_error_set(&err, PAWL_E_SERVER, "refused");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    {
        (void) pawl_error_sqlstate(&err, "42001");
        (void) pawl_error_sqlstate(&err, bad[i]);
        assert_string_equal(err.sqlstate, "");
    }
    (void) pawl_error_sqlstate(&err, NULL);
    assert_string_equal(err.sqlstate, "");
}

static void
out_of_memory_names_what_for(void **state)
{
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    assert_int_equal(pawl_error_nomem(&err, "a plan"), PAWL_E_NOMEM);
    assert_string_equal(err.message, "out of memory for a plan");
}

static void
every_status_and_event_kind_has_a_name_of_its_own(void **state)
{
    (void) state;
    for (int i = 0; i <= (int) PAWL_E_BUG; i++)
    {
        assert_string_not_equal(pawl_status_name((pawl_status) i), "unknown");
        for (int k = 0; k < i; k++)
            assert_string_not_equal(pawl_status_name((pawl_status) i), pawl_status_name((pawl_status) k));
    }
    for (int i = 0; i <= (int) PAWL_EVENT_BENCH_CELL; i++)
    {
        assert_string_not_equal(pawl_event_kind_name((pawl_event_kind) i), "unknown");
        for (int k = 0; k < i; k++)
            assert_string_not_equal(pawl_event_kind_name((pawl_event_kind) i),
                                    pawl_event_kind_name((pawl_event_kind) k));
    }
}

/* What a sink was told. */
struct heard
{
    int count;
    pawl_event_kind kind;
    char text[64];
};

static void
hear(void *ctx, const pawl_event *event)
{
    struct heard *heard = ctx;

    heard->count++;
    heard->kind = event->kind;
    memcpy(heard->text, event->text, strlen(event->text) + 1);
}

static void
text_reaches_the_sink_as_one_event(void **state)
{
    struct heard heard = {0};
    pawl_sink sink = {.emit = hear, .ctx = &heard};

    (void) state;
    pawl_log_text(&sink, PAWL_EVENT_WARNING, "%d rows", 3);
    assert_int_equal(heard.count, 1);
    assert_int_equal(heard.kind, PAWL_EVENT_WARNING);
    assert_string_equal(heard.text, "3 rows");
}

static void
missing_sink_drops_events(void **state)
{
    pawl_sink empty = {0};

    (void) state;
    pawl_log_text(NULL, PAWL_EVENT_INFO, "nobody hears %s", "this");
    pawl_log_text(&empty, PAWL_EVENT_INFO, "nobody hears %s", "this");
    pawl_log_emit(&empty, &(pawl_event){.kind = PAWL_EVENT_INFO});
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(setting_starts_the_record_afresh),
        cmocka_unit_test(prefix_stands_before_the_message),
        cmocka_unit_test(record_may_be_built_from_itself),
        cmocka_unit_test(long_texts_are_cut_with_a_mark),
        cmocka_unit_test(sqlstate_is_five_characters_or_empty),
        cmocka_unit_test(out_of_memory_names_what_for),
        cmocka_unit_test(every_status_and_event_kind_has_a_name_of_its_own),
        cmocka_unit_test(text_reaches_the_sink_as_one_event),
        cmocka_unit_test(missing_sink_drops_events),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
