/* Case folding, integers and edit distance of names. */
#include "efx_str.h"
#include "efx_test.h"

static struct efx_str z(const char *s)
{
    return efx_str_of(s);
}

static void str__equal_ci_ignores_case_of_ascii_only(void **state)
{
    (void)state;
    assert_true(efx_str_equal_ci(z("Length"), z("LENGTH")));
    assert_false(efx_str_equal_ci(z("length"), z("lengt")));
    assert_false(efx_str_equal_ci(z("\xC3\xA4"), z("\xC3\x84")));
    assert_true(efx_str_equal_ci(z(""), z("")));
    assert_false(efx_str_equal_ci(z("["), z("{")));
}

static void str__i64_takes_the_whole_range_and_nothing_else(void **state)
{
    (void)state;
    int64_t x = 5;
    assert_true(efx_str_i64(z("-9223372036854775808"), &x) && x == INT64_MIN);
    assert_true(efx_str_i64(z("9223372036854775807"), &x) && x == INT64_MAX);
    assert_true(efx_str_i64(z("+007"), &x) && x == 7);
    const char *const bad[] = {"",   "-",  "+",   "9223372036854775808",    "-9223372036854775809",
                               "1x", " 1", "1.0", "99999999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(efx_str_i64(z(bad[i]), &x));
    }
    assert_int_equal(x, 7);
}

static void str__distance_counts_a_swap_once(void **state)
{
    (void)state;
    assert_int_equal(efx_str_distance(z("lenght"), z("length"), 3), 1);
    assert_int_equal(efx_str_distance(z("prise"), z("price"), 3), 1);
    assert_int_equal(efx_str_distance(z("kafka.topics"), z("KAFKA.TOPIC"), 3), 1);
    assert_int_equal(efx_str_distance(z("abc"), z("abc"), 0), 0);
    assert_int_equal(efx_str_distance(z("kitten"), z("sitting"), 9), 3);
    assert_int_equal(efx_str_distance(z(""), z("abc"), 9), 3);
}

static void str__distance_stops_at_its_limit(void **state)
{
    (void)state;
    char name[65];
    memset(name, 'a', sizeof name);
    struct efx_str longest = {name, 64}, too_long = {name, 65};
    assert_int_equal(efx_str_distance(z("kitten"), z("sitting"), 2), 3);
    assert_int_equal(efx_str_distance(longest, longest, 2), 0);
    assert_int_equal(efx_str_distance(too_long, too_long, 2), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(str__equal_ci_ignores_case_of_ascii_only),
        cmocka_unit_test(str__i64_takes_the_whole_range_and_nothing_else),
        cmocka_unit_test(str__distance_counts_a_swap_once),
        cmocka_unit_test(str__distance_stops_at_its_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
