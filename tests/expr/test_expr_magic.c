/* Remainders by multiplication against plain %. */
#include "expr_test.h"

#include "efx_magic.h"

static const int64_t edges[] = {INT64_MIN,
                                INT64_MIN + 1,
                                -((int64_t)1 << 62),
                                INT32_MIN,
                                -124,
                                -123,
                                -122,
                                -2,
                                -1,
                                0,
                                1,
                                2,
                                122,
                                123,
                                124,
                                INT32_MAX,
                                (int64_t)1 << 62,
                                INT64_MAX - 1,
                                INT64_MAX};
enum { EDGES = sizeof edges / sizeof edges[0] };

static void check_long(int64_t v, int64_t d)
{
    const struct efx_expr__magic m = efx_expr__magic_long(d);
    assert_true(efx_expr__mod_long(v, m.mul, m.d, m.shift) == (d == -1 ? 0 : v % d));
}

static void check_int(int32_t v, int32_t d)
{
    const struct efx_expr__magic m = efx_expr__magic_int(d);
    assert_true(efx_expr__mod_int(v, m.mul, m.d, m.shift) == (int32_t)((int64_t)v % d));
}

/* A divisor of random length and a dividend near one of its multiples. */
static void remainder__of_random_numbers_is_exact(void **state)
{
    (void)state;
    uint64_t rand = 3;
    for (uint32_t k = 0; k < 200000; k++) {
        int64_t d = (int64_t)efx_test_rand(&rand) >> (efx_test_rand(&rand) % 63);
        if (d >= -1 && d <= 1) {
            continue;
        }
        int64_t v = (int64_t)efx_test_rand(&rand) >> (efx_test_rand(&rand) % 63);
        int64_t multiple = (int64_t)((uint64_t)(v / d) * (uint64_t)d);
        for (int64_t off = -1; off <= 1; off++) {
            check_long((int64_t)((uint64_t)multiple + (uint64_t)off), d);
        }
        check_long(v, d);
        int32_t small = (int32_t)d;
        if (small < -1 || small > 1) {
            check_int((int32_t)v, small);
            check_int((int32_t)multiple, small);
        }
    }
}

static void remainder__at_the_edges_is_exact(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < EDGES; i++) {
        for (uint32_t k = 0; k < EDGES; k++) {
            if (edges[k] < -1 || edges[k] > 1) {
                check_long(edges[i], edges[k]);
            }
            int32_t d = (int32_t)edges[k];
            if (d < -1 || d > 1) {
                check_int((int32_t)edges[i], d);
            }
        }
    }
    for (uint32_t bit = 1; bit < 64; bit++) {
        for (int64_t off = -1; off <= 1; off++) {
            int64_t d = (int64_t)(((uint64_t)1 << bit) + (uint64_t)off);
            for (uint32_t i = 0; (d < -1 || d > 1) && i < EDGES; i++) {
                check_long(edges[i], d);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(remainder__of_random_numbers_is_exact),
        cmocka_unit_test(remainder__at_the_edges_is_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
