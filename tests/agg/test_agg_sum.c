/* Sums and means: the cases in which they usually go wrong, and the examples of language §21. */
#include "agg/agg_test.h"
#include "efx_test.h"
#include "keyed/save_test.h"

#include <math.h>
#include <stdio.h>

enum { N_ROWS = 4096 };

static const uint32_t zeros[N_ROWS]; /* every op on entry 0 */

static void feed(struct states *s, const struct efx_agg_vt *vt, const void *v, uint32_t n,
                 uint64_t leaves)
{
    struct efx_col col = {.type = vt->in, .data = v};
    struct efx_agg_in in = {.n = n, .id = zeros, .arg = &col, .leaves = &leaves};
    assert_int_equal(vt->run(&s->at, &in, NULL), EFX_OK);
}

static bool value(const struct efx_agg_vt *vt, const struct states *s, void *v, uint16_t *code)
{
    uint64_t valid = 0, failed = 0;
    const uint32_t id = 0;
    struct efx_agg_out out = {.data = v, .valid = &valid, .fails = {&failed, code, false}};
    *code = 0;
    assert_int_equal(vt->emit(&s->at, &id, 1, &out), EFX_OK);
    assert_false(valid != 0 && failed != 0);
    return valid != 0;
}

static double real(const struct efx_agg_vt *vt, const struct states *s)
{
    double v = 0;
    uint16_t code;
    assert_true(value(vt, s, &v, &code));
    return v;
}

static void sum__of_no_rows_is_null(void **state)
{
    (void)state;
    static const char *const names[] = {"sum", "avg", "sum distinct", "avg distinct"};
    for (uint32_t k = 0; k < 4; k++) {
        for (enum efx_type t = EFX_TYPE_INT; t <= EFX_TYPE_DOUBLE; t++) {
            const struct efx_agg_vt *vt = agg_find(names[k], t);
            struct states s;
            double v;
            uint16_t code;
            states_init(&s, vt, NULL, NULL);
            assert_false(value(vt, &s, &v, &code));
            assert_int_equal(code, 0);
        }
    }
}

static void sum__never_reads_what_a_null_slot_holds(void **state)
{
    (void)state;
    const struct efx_agg_vt *sum = agg_find("sum", EFX_TYPE_DOUBLE);
    const double v[] = {1, NAN, 2, INFINITY, 4};
    const uint64_t valid = 0x15;
    struct efx_col col = {.type = EFX_TYPE_DOUBLE, .data = v, .valid = &valid};
    struct efx_agg_in in = {.n = 5, .id = zeros, .arg = &col};
    struct states s;
    states_init(&s, sum, NULL, NULL);
    assert_int_equal(sum->run(&s.at, &in, NULL), EFX_OK);
    assert_true(real(sum, &s) == 7);
}

static void sum__is_right_again_after_nan_and_infinities_have_left(void **state)
{
    (void)state;
    const struct efx_agg_vt *sum = agg_find("sum", EFX_TYPE_DOUBLE);
    const double v[] = {5, INFINITY, -INFINITY, INFINITY, -INFINITY, NAN, NAN};
    struct states s;
    states_init(&s, sum, NULL, NULL);
    feed(&s, sum, v, 2, 0); /* 5, +inf come */
    assert_true(real(sum, &s) == INFINITY);
    feed(&s, sum, v + 2, 1, 0);
    assert_true(isnan(real(sum, &s)));
    feed(&s, sum, v + 3, 1, 1); /* +inf leaves */
    assert_true(real(sum, &s) == -INFINITY);
    feed(&s, sum, v + 4, 3, 5); /* -inf leaves, NaN comes and leaves */
    assert_true(real(sum, &s) == 5);
}

static void sum__keeps_the_one_between_1e16_and_minus_1e16(void **state)
{
    (void)state;
    const struct efx_agg_vt *sum = agg_find("sum", EFX_TYPE_DOUBLE);
    const double v[] = {1e16, 1, -1e16}, moves[] = {1e16, 1, 1e16};
    struct states s;
    states_init(&s, sum, NULL, NULL);
    feed(&s, sum, v, 3, 0);
    assert_true(real(sum, &s) == 1);
    states_init(&s, sum, NULL, NULL);
    feed(&s, sum, moves, 3, 4); /* the first leaves */
    assert_true(real(sum, &s) == 1);
}

static void sum__of_a_window_of_one_is_that_row_exactly(void **state)
{
    (void)state;
    const struct efx_agg_vt *sum = agg_find("sum", EFX_TYPE_DOUBLE);
    const double v[] = {0.1, 0.1, 0.2, 0.2, 0.3};
    struct states s;
    states_init(&s, sum, NULL, NULL);
    feed(&s, sum, v, 5, 0xA);
    assert_true(real(sum, &s) == 0.3);
}

static void sum__does_not_drift(void **state)
{
    (void)state;
    static double v[2 * N_ROWS];
    static uint64_t leaves[2 * N_ROWS / 64];
    static uint32_t id[2 * N_ROWS];
    const struct efx_agg_vt *sum = agg_find("sum", EFX_TYPE_DOUBLE);
    static const double tenths[] = {0.1, 0.2, 0.3, 0.7, 123456.789};
    struct states s;
    states_init(&s, sum, NULL, NULL);
    feed(&s, sum, tenths, 3, 0);
    for (uint32_t k = 0; k < 50; k++) { /* window of 3 and one: each comes, the oldest leaves */
        for (uint32_t i = 0; i < N_ROWS; i++) {
            v[2 * i] = tenths[(k + i) % 2 == 0 ? 3 : 4];
            v[2 * i + 1] = v[2 * i];
            efx_bit_put(leaves, 2 * i, false);
            efx_bit_put(leaves, 2 * i + 1, true);
        }
        struct efx_col col = {.type = EFX_TYPE_DOUBLE, .data = v};
        struct efx_agg_in in = {.n = 2 * N_ROWS, .id = id, .arg = &col, .leaves = leaves};
        assert_int_equal(sum->run(&s.at, &in, NULL), EFX_OK);
    }
    assert_true(fabs(real(sum, &s) - 0.6) < 1e-15);
}

static void sum__starts_from_exact_zero_when_it_was_empty(void **state)
{
    (void)state;
    const struct efx_agg_vt *sum = agg_find("sum", EFX_TYPE_DOUBLE);
    const double v[] = {1e300, 1e100, 1, 1e300, 1e100, 1, 5};
    struct states s;
    states_init(&s, sum, NULL, NULL);
    feed(&s, sum, v, 7, 0x38); /* three come, three leave, 5 comes */
    assert_true(real(sum, &s) == 5);
}

static void sum__overflows_to_infinity_and_comes_back(void **state)
{
    (void)state;
    const struct efx_agg_vt *sum = agg_find("sum", EFX_TYPE_DOUBLE);
    const struct efx_agg_vt *avg = agg_find("avg", EFX_TYPE_DOUBLE);
    const double v[] = {1.5e308, 1.5e308, 3, 1.5e308, 1.5e308};
    struct states s, a;
    states_init(&s, sum, NULL, NULL);
    states_init(&a, avg, NULL, NULL);
    feed(&s, sum, v, 1, 0);
    assert_true(real(sum, &s) == 1.5e308);
    feed(&s, sum, v + 1, 2, 0);
    assert_true(isinf(real(sum, &s)));
    feed(&s, sum, v + 3, 1, 1);
    assert_true(real(sum, &s) == 1.5e308);
    feed(&s, sum, v + 4, 1, 1);
    assert_true(real(sum, &s) == 3);
    feed(&a, avg, v, 2, 0);
    assert_true(fabs(real(avg, &a) / 1.5e308 - 1) < 1e-15);
}

static void sum__of_long_beyond_64_bits_fails_that_row_only(void **state)
{
    (void)state;
    const struct efx_agg_vt *sum = agg_find("sum", EFX_TYPE_LONG);
    const int64_t v[] = {INT64_MAX, 1, -2, INT64_MIN, INT64_MIN, -1};
    struct efx_col col = {.type = EFX_TYPE_LONG, .data = v};
    struct efx_agg_in in = {.n = 6, .id = zeros, .arg = &col};
    int64_t running[6];
    uint64_t valid = 0, failed = 0;
    uint16_t code[6] = {0};
    struct efx_agg_out out = {running, &valid, {&failed, code, false}};
    struct states s;
    states_init(&s, sum, NULL, NULL);
    assert_int_equal(sum->run(&s.at, &in, &out), EFX_OK);
    assert_int_equal(failed, 0x32); /* MAX + 1; -2 + MIN; and one less */
    assert_int_equal(valid, 0x0D);
    assert_int_equal(code[1], 3104);
    assert_int_equal(running[2], INT64_MAX - 1);
    assert_int_equal(running[3], -2);
}

static void avg__of_long_beyond_64_bits_is_no_error(void **state)
{
    (void)state;
    const struct efx_agg_vt *avg = agg_find("avg", EFX_TYPE_LONG);
    const int64_t v[] = {INT64_MAX, INT64_MAX, INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN};
    struct states s;
    states_init(&s, avg, NULL, NULL);
    feed(&s, avg, v, 2, 0);
    assert_true(real(avg, &s) == 0x1p63);
    feed(&s, avg, v + 2, 4, 0);
    assert_true(real(avg, &s) == -0x1p64 / 6);
}

/* Ex 130: length(3) over 4, 5, NULL, NULL, NULL. */
static void sum__example_130(void **state)
{
    (void)state;
    const int64_t v[] = {4, 5, 0, 0, 4, 0, 5};
    const uint64_t arg_valid = 0x53, leaves = 0x28; /* ops: +4 +5 +N -4 +N -5 +N */
    const uint32_t row[] = {0, 1, 2, 4, 3, 6, 3};
    struct efx_col col = {.type = EFX_TYPE_LONG, .data = v, .valid = &arg_valid};
    struct efx_agg_in in = {.n = 7, .id = zeros, .row = row, .arg = &col, .leaves = &leaves};
    static const struct {
        const char *name;
        uint64_t valid;
        int64_t want[7];
    } cases[] = {{"sum", 0x1F, {4, 9, 9, 5, 5, 0, 0}}, {"count", 0x7F, {1, 2, 2, 1, 1, 0, 0}}};
    for (uint32_t k = 0; k < 2; k++) {
        const struct efx_agg_vt *vt = agg_find(cases[k].name, EFX_TYPE_LONG);
        int64_t got[7];
        uint64_t valid = 0, failed = 0;
        uint16_t code[7];
        struct efx_agg_out out = {got, &valid, {&failed, code, false}};
        struct states s;
        states_init(&s, vt, NULL, NULL);
        assert_int_equal(vt->run(&s.at, &in, &out), EFX_OK);
        assert_int_equal(valid, cases[k].valid);
        for (uint32_t i = 0; i < 5; i++) {
            assert_int_equal(got[i], cases[k].want[i]);
        }
    }
}

static void sum__does_not_depend_on_how_the_input_was_split(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {1, 7, 63, 64, 65, N_ROWS};
    static const double odd[] = {NAN, INFINITY, -INFINITY, 1.7e308, -1.7e308, -0.0};
    static double v[N_ROWS], want[N_ROWS], got[N_ROWS];
    static uint32_t id[N_ROWS], row[N_ROWS];
    static uint64_t valid[N_ROWS / 64], out_valid[N_ROWS / 64], no[N_ROWS / 64];
    static uint16_t code[N_ROWS];
    const struct efx_agg_vt *sum = agg_find("sum", EFX_TYPE_DOUBLE);
    uint64_t rng = 3;
    for (uint32_t i = 0; i < N_ROWS; i++) {
        uint64_t r = efx_test_rand(&rng);
        v[i] = ldexp((double)(int32_t)r, (int)(r >> 40 & 127) - 60);
        v[i] = r >> 48 == 0 ? odd[r % 6] : v[i];
        efx_bit_put(valid, i, efx_test_rand(&rng) % 10 != 0);
        id[i] = (uint32_t)(efx_test_rand(&rng) % STATES);
    }
    for (uint32_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        struct states s;
        states_init(&s, sum, NULL, NULL);
        for (uint32_t from = 0; from < N_ROWS; from += sizes[k]) {
            uint32_t n = N_ROWS - from < sizes[k] ? N_ROWS - from : sizes[k];
            for (uint32_t i = 0; i < n; i++) {
                row[i] = from + i;
            }
            struct efx_col col = {.type = EFX_TYPE_DOUBLE, .data = v, .valid = valid};
            struct efx_agg_in in = {.n = n, .id = id + from, .row = row, .arg = &col};
            struct efx_agg_out out = {got + from, out_valid, {no, code, false}};
            assert_int_equal(sum->run(&s.at, &in, &out), EFX_OK);
        }
        if (k == 0) {
            memcpy(want, got, sizeof want);
        }
        assert_memory_equal(got, want, sizeof want); /* to the bit, at every row */
    }
}

/* Memory ends in the middle: what was there is there, and all goes back. */
static void agg__is_whole_after_memory_ended(void **state)
{
    (void)state;
    static const char *const names[] = {"min", "max", "first", "last", "distinctCount"};
    static char text[N_ROWS][48];
    static struct efx_cell cell[N_ROWS];
    static uint32_t id[N_ROWS];
    for (uint32_t i = 0; i < N_ROWS; i++) {
        uint32_t n = (uint32_t)snprintf(text[i], sizeof text[i], "a text beyond the cell %u",
                                        i * 2654435761u);
        cell[i] = efx_cell_make(text[i], n);
        id[i] = i % STATES;
    }
    for (uint32_t k = 0; k < 15; k++) {
        const struct efx_agg_vt *vt = agg_find(names[k % 5], EFX_TYPE_STRING);
        vt = k >= 10 && vt->running != NULL ? vt->running : vt;
        vt = k >= 5 && k < 10 && vt->any_order != NULL ? vt->any_order : vt;
        for (uint32_t fail_at = 2; fail_at < 9; fail_at++) {
            struct test_mem mem = test_mem_make(fail_at);
            struct efx_heap *heap;
            struct states s;
            assert_int_equal(efx_heap_create(&mem.base, &heap), EFX_OK);
            states_init(&s, vt, heap, NULL);
            struct efx_col col = {.type = EFX_TYPE_STRING, .data = cell};
            struct efx_agg_in in = {.n = N_ROWS, .id = id, .arg = &col};
            enum efx_rc rc = vt->run(&s.at, &in, NULL);
            assert_true(rc == EFX_OK || rc == EFX_ENOMEM);
            mem.fail_at = UINT32_MAX;
            assert_int_equal(vt->run(&s.at, &in, NULL), EFX_OK);
            states_fini(&s, vt);
            uint32_t ref; /* every piece came back: the heap begins anew */
            assert_int_equal(efx_heap_get(heap, 8, &ref), EFX_OK);
            efx_heap_put(heap, ref, 8);
            assert_true(efx_heap_bytes(heap) < 90 * 1024);
            efx_heap_destroy(&heap);
            assert_int_equal(mem.held_bytes, 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sum__of_no_rows_is_null),
        cmocka_unit_test(sum__never_reads_what_a_null_slot_holds),
        cmocka_unit_test(sum__is_right_again_after_nan_and_infinities_have_left),
        cmocka_unit_test(sum__keeps_the_one_between_1e16_and_minus_1e16),
        cmocka_unit_test(sum__of_a_window_of_one_is_that_row_exactly),
        cmocka_unit_test(sum__does_not_drift),
        cmocka_unit_test(sum__starts_from_exact_zero_when_it_was_empty),
        cmocka_unit_test(sum__overflows_to_infinity_and_comes_back),
        cmocka_unit_test(sum__of_long_beyond_64_bits_fails_that_row_only),
        cmocka_unit_test(avg__of_long_beyond_64_bits_is_no_error),
        cmocka_unit_test(sum__example_130),
        cmocka_unit_test(sum__does_not_depend_on_how_the_input_was_split),
        cmocka_unit_test(agg__is_whole_after_memory_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
