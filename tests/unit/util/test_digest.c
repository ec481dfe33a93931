#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "util/alloc.h"
#include "util/digest.h"

#include "util/banned.h"

static void
published_vectors_are_met(void **state)
{
    static const struct
    {
        const char *text;
        const char *hex;
    } vectors[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };

    (void) state;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
    {
        char out[PAWL_DIGEST_HEX];

        pawl_digest_of(vectors[i].text, strlen(vectors[i].text), out);
        assert_string_equal(out, vectors[i].hex);
    }
}

static void
digest_two(const char *a, const char *b, char out[PAWL_DIGEST_HEX])
{
    PAWL_AUTO(pawl_digest) d = pawl_digest_new();

    assert_non_null(d);
    pawl_digest_add(d, a, strlen(a));
    pawl_digest_add(d, b, strlen(b));
    pawl_digest_final(d, out);
}

static void
border_between_parts_matters(void **state)
{
    char left[PAWL_DIGEST_HEX];
    char right[PAWL_DIGEST_HEX];
    char again[PAWL_DIGEST_HEX];

    (void) state;
    digest_two("ab", "c", left);
    digest_two("a", "bc", right);
    digest_two("ab", "c", again);
    assert_string_not_equal(left, right);
    assert_string_equal(left, again);
    assert_int_equal(strlen(left), PAWL_DIGEST_HEX - 1);
}

static void
length_stands_before_the_bytes_as_eight_big_endian_ones(void **state)
{
    PAWL_AUTO(pawl_digest) d = pawl_digest_new();
    char parts[PAWL_DIGEST_HEX];
    char whole[PAWL_DIGEST_HEX];

    (void) state;
    pawl_digest_add(d, "abc", 3);
    pawl_digest_final(d, parts);
    pawl_digest_of("\0\0\0\0\0\0\0\3abc", 11, whole);
    assert_string_equal(parts, whole);
}

static void
a_mark_is_short_and_its_own_for_each_value_and_salt(void **state)
{
    char mark[PAWL_DIGEST_MARK];
    char again[PAWL_DIGEST_MARK];
    char other[PAWL_DIGEST_MARK];
    char salted[PAWL_DIGEST_MARK];

    (void) state;
    pawl_digest_mark("secret", "0123456789abcdef", mark);
    pawl_digest_mark("secret", "0123456789abcdef", again);
    pawl_digest_mark("Secret", "0123456789abcdef", other);
    pawl_digest_mark("secret", "0123456789abcdeg", salted);
    assert_int_equal(strlen(mark), 4);
    assert_string_equal(mark, again);
    assert_string_not_equal(mark, other);
    assert_string_not_equal(mark, salted);
}

static void
failed_allocation_gives_no_digest(void **state)
{
    (void) state;
    pawl_test_fail_alloc(0);
    assert_null(pawl_digest_new());
    pawl_test_fail_alloc(-1);
    pawl_digest_free(NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_vectors_are_met),
        cmocka_unit_test(border_between_parts_matters),
        cmocka_unit_test(length_stands_before_the_bytes_as_eight_big_endian_ones),
        cmocka_unit_test(a_mark_is_short_and_its_own_for_each_value_and_salt),
        cmocka_unit_test(failed_allocation_gives_no_digest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
