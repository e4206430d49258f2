/* Lazy operands: three-valued logic against the truth tables, and rows that do not reach an operand
 * do not suffer its data errors. */
#include "expr_test.h"

/* The meaning of the lazy forms, one row at a time, stopping where the language stops. */
static struct efx_value lazy_meaning(struct xt *x, const struct efx_bx *bx, uint32_t i,
                                     uint16_t *code);

static struct efx_value logic_meaning(struct xt *x, const struct efx_bx *bx, uint32_t i,
                                      uint16_t *code)
{
    bool decides = bx->op == EFX_BX_OR;
    struct efx_value out = xt_v_bool(!decides);
    for (uint32_t k = 0; k < bx->n_args; k++) {
        struct efx_value v = lazy_meaning(x, bx->args[k], i, code);
        if (!v.null && v.b == decides) {
            return v;
        }
        out.null = out.null || v.null;
    }
    return out;
}

static struct efx_value in_meaning(struct xt *x, const struct efx_bx *bx, uint32_t i,
                                   uint16_t *code)
{
    struct efx_value out = xt_v_bool(false), v = lazy_meaning(x, bx->args[0], i, code);
    for (uint32_t k = 1; k < bx->n_args; k++) {
        struct efx_value y = lazy_meaning(x, bx->args[k], i, code);
        if (!v.null && !y.null && efx_value_compare(&v, &y) == 0) {
            return xt_v_bool(true);
        }
        out.null = out.null || v.null || y.null;
    }
    return out;
}

static struct efx_value lazy_meaning(struct xt *x, const struct efx_bx *bx, uint32_t i,
                                     uint16_t *code)
{
    uint32_t k = 0;
    if (bx->op == EFX_BX_AND || bx->op == EFX_BX_OR) {
        return logic_meaning(x, bx, i, code);
    }
    if (bx->op == EFX_BX_IN_LIST) {
        return in_meaning(x, bx, i, code);
    }
    if (bx->op == EFX_BX_CASE) {
        for (; k + 1 < bx->n_args; k += 2) {
            struct efx_value when = lazy_meaning(x, bx->args[k], i, code);
            if (!when.null && when.b) {
                return lazy_meaning(x, bx->args[k + 1], i, code);
            }
        }
        return lazy_meaning(x, bx->args[k], i, code);
    }
    if (bx->op == EFX_BX_COALESCE) {
        struct efx_value v = efx_value_null(bx->type);
        for (; k < bx->n_args && v.null; k++) {
            v = lazy_meaning(x, bx->args[k], i, code);
        }
        return v;
    }
    if (bx->n_args > 0) {
        struct efx_value args[4], out;
        for (; k < bx->n_args; k++) {
            args[k] = lazy_meaning(x, bx->args[k], i, code);
        }
        uint16_t own = efx_eval_op(bx, args, &x->ctx.step, &out);
        *code = *code != 0 ? *code : own;
        return out;
    }
    return xt_slow(x, bx, i, code);
}

static void check(struct xt *x, const struct efx_bx *bx)
{
    xt_check_by(x, bx, lazy_meaning);
}

typedef void (*with_batch_fn)(struct xt *x);

/* Columns: 0, 1, 2 BOOL; 3, 4 LONG; 5 DOUBLE; 6, 7 STRING; 8 INT. */
static void everywhere(with_batch_fn f)
{
    static const uint32_t lengths[] = {0, 1, 63, 64, 65, 4096};
    static const enum efx_type types[] = {EFX_TYPE_BOOL,   EFX_TYPE_BOOL,   EFX_TYPE_BOOL,
                                          EFX_TYPE_LONG,   EFX_TYPE_LONG,   EFX_TYPE_DOUBLE,
                                          EFX_TYPE_STRING, EFX_TYPE_STRING, EFX_TYPE_INT};
    for (uint32_t l = 0; l < 6; l++) {
        for (uint32_t mask = 0; mask < 3; mask++) {
            for (uint32_t nulls = 0; nulls < 2; nulls++) {
                struct xt *x = xt_open();
                for (uint32_t c = 0; c < 9; c++) {
                    xt_fill(x, c, types[c], lengths[l], nulls);
                }
                xt_mask(x, mask);
                f(x);
                xt_close(x);
            }
        }
    }
}

/* Fails (3101) where column `col`, a LONG, does not fit an INT; else TRUE where it is even. */
static struct efx_bx *may_fail(struct xt *x, uint32_t col)
{
    struct efx_bx *i = xt_1(x, EFX_BX_NARROW, EFX_TYPE_INT, xt_col(x, col));
    return xt_2(x, EFX_BX_EQ, EFX_TYPE_BOOL, xt_2(x, EFX_BX_MOD, EFX_TYPE_INT, i, XT_INT(2)),
                XT_INT(0));
}

static void logic_of(struct xt *x)
{
    static const enum efx_bx_op ops[] = {EFX_BX_AND, EFX_BX_OR};
    for (uint32_t k = 0; k < 2; k++) {
        enum efx_bx_op op = ops[k];
        struct efx_bx *a = xt_col(x, 0), *b = xt_col(x, 1), *c = xt_col(x, 2);
        check(x, xt_2(x, op, EFX_TYPE_BOOL, a, b));
        check(x, xt_3(x, op, EFX_TYPE_BOOL, a, b, c));
        check(x, xt_3(x, op, EFX_TYPE_BOOL, a, may_fail(x, 3), may_fail(x, 4)));
        check(x, xt_3(x, op, EFX_TYPE_BOOL, may_fail(x, 3), a, XT_NULL(EFX_TYPE_BOOL)));
        check(x, xt_2(x, op, EFX_TYPE_BOOL, a, XT_BOOL(true)));
        check(x, xt_2(x, op, EFX_TYPE_BOOL, XT_BOOL(false), may_fail(x, 3)));
        struct efx_bx *other = xt_2(x, ops[1 - k], EFX_TYPE_BOOL, b, may_fail(x, 3));
        check(x, xt_2(x, op, EFX_TYPE_BOOL, a, xt_1(x, EFX_BX_NOT, EFX_TYPE_BOOL, other)));
    }
}

static void and_or__follow_the_truth_tables_and_stop_early(void **state)
{
    (void)state;
    everywhere(logic_of);
}

static void case_of(struct xt *x)
{
    struct efx_bx *narrow = xt_1(x, EFX_BX_NARROW, EFX_TYPE_INT, xt_col(x, 3));
    struct efx_bx *ints[] = {xt_col(x, 0), narrow, may_fail(x, 4), XT_INT(7), xt_col(x, 8)};
    check(x, xt_bx(x, EFX_BX_CASE, EFX_TYPE_INT, 5, ints));
    struct efx_bx *texts[] = {xt_col(x, 0), xt_col(x, 6), xt_col(x, 1), XT_STR("constant"),
                              XT_NULL(EFX_TYPE_STRING)};
    check(x, xt_bx(x, EFX_BX_CASE, EFX_TYPE_STRING, 5, texts));
    struct efx_bx *bools[] = {xt_col(x, 0), xt_col(x, 1), xt_col(x, 2)};
    check(x, xt_bx(x, EFX_BX_CASE, EFX_TYPE_BOOL, 3, bools));
    struct efx_bx *reals[] = {XT_BOOL(true), xt_col(x, 5), XT_DOUBLE(1)};
    check(x, xt_bx(x, EFX_BX_CASE, EFX_TYPE_DOUBLE, 3, reals));
    struct efx_bx *never[] = {XT_BOOL(false), narrow, xt_col(x, 8)};
    check(x, xt_bx(x, EFX_BX_CASE, EFX_TYPE_INT, 3, never));
}

static void case__takes_the_first_branch_and_evaluates_only_it(void **state)
{
    (void)state;
    everywhere(case_of);
}

static void coalesce_of(struct xt *x)
{
    struct efx_bx *narrow = xt_1(x, EFX_BX_NARROW, EFX_TYPE_INT, xt_col(x, 3));
    check(x, xt_2(x, EFX_BX_COALESCE, EFX_TYPE_INT, xt_col(x, 8), narrow));
    check(x, xt_3(x, EFX_BX_COALESCE, EFX_TYPE_STRING, xt_col(x, 6), xt_col(x, 7), XT_STR("-")));
    check(x, xt_2(x, EFX_BX_COALESCE, EFX_TYPE_BOOL, xt_col(x, 0), may_fail(x, 3)));
    check(x, xt_2(x, EFX_BX_COALESCE, EFX_TYPE_LONG, XT_NULL(EFX_TYPE_LONG), xt_col(x, 4)));
}

static void coalesce__takes_the_first_that_is_not_null(void **state)
{
    (void)state;
    everywhere(coalesce_of);
}

static void in_of(struct xt *x)
{
    struct efx_bx *longs[] = {xt_col(x, 3),   XT_LONG(3),   xt_col(x, 4),
                              XT_DOUBLE(2.5), xt_col(x, 5), XT_NULL(EFX_TYPE_LONG)};
    check(x, xt_bx(x, EFX_BX_IN_LIST, EFX_TYPE_BOOL, 5, longs));
    check(x, xt_bx(x, EFX_BX_IN_LIST, EFX_TYPE_BOOL, 6, longs));
    struct efx_bx *texts[] = {xt_col(x, 6), XT_STR("abc"), xt_col(x, 7), XT_STR("naïve")};
    check(x, xt_bx(x, EFX_BX_IN_LIST, EFX_TYPE_BOOL, 4, texts));
    struct efx_bx *fails[] = {xt_col(x, 8), XT_INT(1),
                              xt_1(x, EFX_BX_NARROW, EFX_TYPE_INT, xt_col(x, 3)), XT_INT(2)};
    check(x, xt_bx(x, EFX_BX_IN_LIST, EFX_TYPE_BOOL, 4, fails));
    struct efx_bx *constant[] = {XT_LONG(3), xt_col(x, 3), xt_col(x, 4)};
    check(x, xt_bx(x, EFX_BX_IN_LIST, EFX_TYPE_BOOL, 3, constant));
}

static void in_list__is_or_of_equalities_from_left_to_right(void **state)
{
    (void)state;
    everywhere(in_of);
}

static void what_fails__is_not_a_constant(void **state)
{
    (void)state;
    struct xt *x = xt_open();
    xt_fill(x, 0, EFX_TYPE_BOOL, 70, 0);
    struct efx_bx *bad = xt_2(x, EFX_BX_REGEXP, EFX_TYPE_BOOL, XT_STR("a"), XT_STR("("));
    const struct efx_expr *e = xt_compile(x, bad);
    struct efx_value v;
    assert_false(efx_expr_const(e, &v));
    assert_true(efx_expr_can_fail(e));
    check(x, bad);
    check(x, xt_2(x, EFX_BX_AND, EFX_TYPE_BOOL, xt_col(x, 0), bad));
    xt_close(x);
}

static void callers__may_go_without_fails(void **state)
{
    (void)state;
    struct xt *x = xt_open();
    const struct efx_value v[] = {xt_v_long(5), xt_v_long(INT64_MAX)};
    xt_put(x, 0, 2, v);
    const struct efx_expr *e = xt_compile(x, xt_1(x, EFX_BX_NARROW, EFX_TYPE_INT, xt_col(x, 0)));
    const struct efx_rows rows = efx_rows_all(&x->b);
    struct efx_col c;
    efx_expr_eval(e, &x->ctx, &x->step, &rows, &c, NULL);
    assert_int_equal(efx_value_of_col(&c, 0).i, 5);
    assert_true(efx_value_of_col(&c, 1).null);
    xt_close(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(and_or__follow_the_truth_tables_and_stop_early),
        cmocka_unit_test(case__takes_the_first_branch_and_evaluates_only_it),
        cmocka_unit_test(coalesce__takes_the_first_that_is_not_null),
        cmocka_unit_test(in_list__is_or_of_equalities_from_left_to_right),
        cmocka_unit_test(what_fails__is_not_a_constant),
        cmocka_unit_test(callers__may_go_without_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
