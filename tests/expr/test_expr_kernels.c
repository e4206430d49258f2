/* Kernels against the single-value meaning: every operator on every type, with and without NULLs
 * and constants, at lengths around a word, with masks, in slices that cut words. */
#include "expr_test.h"

static const uint32_t lengths[] = {0, 1, 63, 64, 65, 4096};

typedef void (*for_one_fn)(struct xt *x, enum efx_type t);

/* Columns 0, 1 of type t (and 2 of LONG, 3 of DOUBLE, 4 of STRING, 5 of BOOL). */
static void everywhere(const enum efx_type *types, uint32_t n_types, for_one_fn one)
{
    for (uint32_t k = 0; k < n_types; k++) {
        for (uint32_t l = 0; l < sizeof lengths / sizeof lengths[0]; l++) {
            for (uint32_t mask = 0; mask < 3; mask++) {
                for (uint32_t nulls = 0; nulls<3; nulls += lengths[l]> 100 ? 2 : 1) {
                    struct xt *x = xt_open();
                    uint32_t n = lengths[l];
                    xt_fill(x, 0, types[k], n, nulls);
                    xt_fill(x, 1, types[k], n, nulls / 2);
                    xt_fill(x, 2, EFX_TYPE_LONG, n, nulls);
                    xt_fill(x, 3, EFX_TYPE_DOUBLE, n, nulls);
                    xt_fill(x, 4, EFX_TYPE_STRING, n, nulls);
                    xt_fill(x, 5, EFX_TYPE_BOOL, n, nulls);
                    xt_mask(x, mask);
                    one(x, types[k]);
                    xt_close(x);
                }
            }
        }
    }
}

static const enum efx_type numbers[] = {EFX_TYPE_INT, EFX_TYPE_LONG, EFX_TYPE_FLOAT,
                                        EFX_TYPE_DOUBLE};
static const enum efx_type all_types[] = {EFX_TYPE_INT,    EFX_TYPE_LONG, EFX_TYPE_FLOAT,
                                          EFX_TYPE_DOUBLE, EFX_TYPE_BOOL, EFX_TYPE_STRING,
                                          EFX_TYPE_BYTES};

/* op over column/column, column/constant, constant/column, and with NULL. */
static void shapes(struct xt *x, enum efx_bx_op op, enum efx_type out, enum efx_type t)
{
    struct efx_bx *k = xt_lit(x, xt_random_value(x, t));
    xt_check(x, xt_2(x, op, out, xt_col(x, 0), xt_col(x, 1)));
    xt_check(x, xt_2(x, op, out, xt_col(x, 0), k));
    xt_check(x, xt_2(x, op, out, k, xt_col(x, 1)));
    xt_check(x, xt_2(x, op, out, xt_col(x, 0), XT_NULL(t)));
}

static void arithmetic_of(struct xt *x, enum efx_type t)
{
    static const enum efx_bx_op ops[] = {EFX_BX_ADD, EFX_BX_SUB, EFX_BX_MUL, EFX_BX_MOD};
    for (uint32_t i = 0; i < 4; i++) {
        shapes(x, ops[i], t, t);
    }
    if (t == EFX_TYPE_DOUBLE) {
        shapes(x, EFX_BX_DIV, t, t);
        xt_check(x, xt_2(x, EFX_BX_DIV, t, xt_col(x, 0), XT_DOUBLE(-0.0)));
    }
    xt_check(x, xt_1(x, EFX_BX_NEG, t, xt_col(x, 0)));
    if (t == EFX_TYPE_INT) {
        xt_check(x, xt_2(x, EFX_BX_MOD, t, xt_col(x, 0), XT_INT(0)));
        xt_check(x, xt_2(x, EFX_BX_MOD, t, xt_col(x, 0), XT_INT(-1)));
        xt_check(x, xt_2(x, EFX_BX_MOD, t, xt_col(x, 0), XT_INT(INT32_MIN)));
    }
    if (t == EFX_TYPE_LONG) {
        xt_check(x, xt_2(x, EFX_BX_MOD, t, xt_col(x, 0), XT_LONG(123)));
        xt_check(x, xt_2(x, EFX_BX_MOD, t, xt_col(x, 0), XT_LONG(0)));
        xt_check(x, xt_2(x, EFX_BX_MOD, t, xt_col(x, 0), XT_LONG(-1)));
        xt_check(x, xt_2(x, EFX_BX_MOD, t, xt_col(x, 0), XT_LONG(INT64_MIN)));
    }
}

static void arithmetic__agrees_with_single_values(void **state)
{
    (void)state;
    everywhere(numbers, 4, arithmetic_of);
}

static const enum efx_bx_op comparisons[] = {EFX_BX_EQ, EFX_BX_NE, EFX_BX_LT,          EFX_BX_LE,
                                             EFX_BX_GT, EFX_BX_GE, EFX_BX_NOT_DISTINCT};

static void comparisons_of(struct xt *x, enum efx_type t)
{
    for (uint32_t i = 0; i < 7; i++) {
        shapes(x, comparisons[i], EFX_TYPE_BOOL, t);
    }
}

static void comparisons__agree_with_single_values(void **state)
{
    (void)state;
    everywhere(all_types, sizeof all_types / sizeof all_types[0], comparisons_of);
}

static void mixed_of(struct xt *x, enum efx_type t)
{
    static const double constants[] = {2, 2.5, -2.5, 1e20, -1e20, 0x1p63, -0x1p63, -0.0, 0x1p62};
    (void)t;
    for (uint32_t i = 0; i < 7; i++) {
        xt_check(x, xt_2(x, comparisons[i], EFX_TYPE_BOOL, xt_col(x, 2), xt_col(x, 3)));
        xt_check(x, xt_2(x, comparisons[i], EFX_TYPE_BOOL, xt_col(x, 3), xt_col(x, 2)));
        xt_check(x, xt_2(x, comparisons[i], EFX_TYPE_BOOL, xt_col(x, 3), XT_LONG(3)));
        struct efx_bx *nan = XT_DOUBLE((double)NAN);
        xt_check(x, xt_2(x, comparisons[i], EFX_TYPE_BOOL, xt_col(x, 2), nan));
        for (uint32_t k = 0; k < sizeof constants / sizeof constants[0]; k++) {
            struct efx_bx *d = XT_DOUBLE(constants[k]);
            xt_check(x, xt_2(x, comparisons[i], EFX_TYPE_BOOL, xt_col(x, 2), d));
            xt_check(x, xt_2(x, comparisons[i], EFX_TYPE_BOOL, d, xt_col(x, 2)));
        }
    }
}

static void long_and_double__compare_exactly(void **state)
{
    (void)state;
    everywhere(numbers, 1, mixed_of);
}

static void casts_of(struct xt *x, enum efx_type t)
{
    for (uint32_t k = 0; k < sizeof all_types / sizeof all_types[0]; k++) {
        enum efx_type to = all_types[k];
        bool real_bool = (t == EFX_TYPE_BOOL && (to == EFX_TYPE_FLOAT || to == EFX_TYPE_DOUBLE)) ||
                         (to == EFX_TYPE_BOOL && (t == EFX_TYPE_FLOAT || t == EFX_TYPE_DOUBLE));
        bool bytes = (t == EFX_TYPE_BYTES && to != EFX_TYPE_STRING && to != EFX_TYPE_BYTES) ||
                     (to == EFX_TYPE_BYTES && t != EFX_TYPE_BYTES);
        if (!real_bool && !bytes) {
            xt_check(x, xt_1(x, EFX_BX_CAST, to, xt_col(x, 0)));
        }
        if (efx_type_is_number(t) && efx_type_is_number(to)) {
            xt_check(x, xt_1(x, EFX_BX_NARROW, to, xt_col(x, 0)));
        }
    }
}

static void conversions__agree_with_single_values(void **state)
{
    (void)state;
    everywhere(all_types, sizeof all_types / sizeof all_types[0], casts_of);
}

static void tests_of(struct xt *x, enum efx_type t)
{
    struct efx_bx *c = xt_2(x, EFX_BX_LT, EFX_TYPE_BOOL, xt_col(x, 0), xt_col(x, 1));
    xt_check(x, xt_1(x, EFX_BX_IS_NULL, EFX_TYPE_BOOL, xt_col(x, 0)));
    xt_check(x, xt_1(x, EFX_BX_IS_NULL, EFX_TYPE_BOOL, c));
    xt_check(x, xt_1(x, EFX_BX_IS_TRUE, EFX_TYPE_BOOL, c));
    xt_check(x, xt_1(x, EFX_BX_IS_FALSE, EFX_TYPE_BOOL, c));
    xt_check(x, xt_1(x, EFX_BX_NOT, EFX_TYPE_BOOL, c));
    xt_check(x, xt_1(x, EFX_BX_NOT, EFX_TYPE_BOOL, xt_col(x, 5)));
    xt_check(x, xt_1(x, EFX_BX_IS_TRUE, EFX_TYPE_BOOL, xt_col(x, 5)));
    (void)t;
}

static void tests_of_truth__agree_with_single_values(void **state)
{
    (void)state;
    everywhere(all_types, sizeof all_types / sizeof all_types[0], tests_of);
}

static void texts_of(struct xt *x, enum efx_type t)
{
    static const char *const likes[] = {"",   "%",   "a%",  "%c",    "%b%",     "a_c",
                                        "_",  "%_%", "abc", "ab%bc", "%a%b%c%", "x\\%y",
                                        "\\", "a\\", "%ï%", "N_ÏVE", "är%"};
    static const char *const patterns[] = {"^a.c$", "b", "(", "[A-Z]", "", "\\d+", "ï"};
    shapes(x, EFX_BX_CONCAT, t, t);
    for (uint32_t k = 0; k < sizeof likes / sizeof likes[0]; k++) {
        struct efx_bx *p = XT_STR(likes[k]);
        xt_check(x, xt_2(x, EFX_BX_LIKE, EFX_TYPE_BOOL, xt_col(x, 0), p));
        xt_check(x, xt_2(x, EFX_BX_ILIKE, EFX_TYPE_BOOL, xt_col(x, 0), p));
    }
    shapes(x, EFX_BX_LIKE, EFX_TYPE_BOOL, t);
    shapes(x, EFX_BX_ILIKE, EFX_TYPE_BOOL, t);
    for (uint32_t k = 0; x->b.n_rows < 100 && k < sizeof patterns / sizeof patterns[0]; k++) {
        xt_check(x, xt_2(x, EFX_BX_REGEXP, EFX_TYPE_BOOL, xt_col(x, 0), XT_STR(patterns[k])));
    }
    if (x->b.n_rows < 100) {
        shapes(x, EFX_BX_REGEXP, EFX_TYPE_BOOL, t);
    }
}

static void text_operators__agree_with_single_values(void **state)
{
    (void)state;
    const enum efx_type text = EFX_TYPE_STRING;
    everywhere(&text, 1, texts_of);
}

/* A tree of several kernels, so that results stand on each other's memory. */
static void trees_of(struct xt *x, enum efx_type t)
{
    struct efx_bx *sum = xt_2(x, EFX_BX_ADD, t, xt_col(x, 0), xt_col(x, 1));
    struct efx_bx *product = xt_2(x, EFX_BX_MUL, t, sum, xt_2(x, EFX_BX_SUB, t, sum, xt_col(x, 0)));
    struct efx_bx *text = xt_1(x, EFX_BX_CAST, EFX_TYPE_STRING, product);
    xt_check(x, xt_2(x, EFX_BX_CONCAT, EFX_TYPE_STRING, text, xt_col(x, 4)));
    xt_check(x, xt_2(x, EFX_BX_GT, EFX_TYPE_BOOL, product, sum));
}

static void trees__agree_with_single_values(void **state)
{
    (void)state;
    everywhere(numbers, 4, trees_of);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arithmetic__agrees_with_single_values),
        cmocka_unit_test(comparisons__agree_with_single_values),
        cmocka_unit_test(long_and_double__compare_exactly),
        cmocka_unit_test(conversions__agree_with_single_values),
        cmocka_unit_test(tests_of_truth__agree_with_single_values),
        cmocka_unit_test(text_operators__agree_with_single_values),
        cmocka_unit_test(trees__agree_with_single_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
