/* Functions: the worked examples of language §2 and §20, and loops against single values. */
#include "expr_test.h"

static const struct efx_func *func(const char *name)
{
    for (uint32_t i = 0; i < efx_n_funcs; i++) {
        if (strcasecmp(efx_funcs[i]->name, name) == 0) {
            return efx_funcs[i];
        }
    }
    fail_msg("no function %s", name);
    return NULL;
}

/* A call as the binder makes it: arguments cast to what resolve asks for. */
static struct efx_bx *call(struct xt *x, const char *name, uint32_t n, struct efx_bx *const *args)
{
    const struct efx_func *f = func(name);
    enum efx_type types[8];
    struct efx_bx *cast[8];
    assert_true(n >= f->min_args && n <= f->max_args);
    for (uint32_t i = 0; i < n; i++) {
        types[i] = args[i]->type;
    }
    struct efx_func_types t = {.n = n, .arg = types};
    assert_int_equal(f->resolve(&t), 0);
    for (uint32_t i = 0; i < n; i++) {
        bool same = args[i]->type == types[i];
        cast[i] = same ? args[i] : xt_1(x, EFX_BX_CAST, types[i], args[i]);
    }
    struct efx_bx *e = xt_bx(x, EFX_BX_CALL, t.out, n, cast);
    e->func = f;
    return e;
}

static uint16_t resolves(const char *name, uint32_t n, enum efx_type a, enum efx_type b)
{
    enum efx_type types[2] = {a, b};
    struct efx_func_types t = {.n = n, .arg = types};
    return func(name)->resolve(&t);
}

/* As a constant, and with every literal read from a column. */
static void is(struct xt *x, struct efx_bx *bx, struct efx_value want)
{
    struct efx_value v;
    assert_true(efx_expr_const(xt_compile(x, bx), &v));
    assert_int_equal(v.type, want.type);
    assert_true(xt_same(&v, &want));
    if (v.type == EFX_TYPE_DOUBLE && !v.null) {
        assert_int_equal(signbit(v.d), signbit(want.d));
    }
}

static struct efx_bx *columns_for(struct xt *x, struct efx_bx *bx, uint32_t *n)
{
    if (bx->op == EFX_BX_CONST) {
        xt_put(x, *n, 1, &bx->lit);
        return xt_col(x, (*n)++);
    }
    for (uint32_t i = 0; i < bx->n_args; i++) {
        bx->args[i] = columns_for(x, bx->args[i], n);
    }
    return bx;
}

static void example(struct xt *x, struct efx_bx *bx, struct efx_value want)
{
    is(x, bx, want);
    uint32_t n = 0;
    uint16_t code;
    const struct efx_expr *e = xt_compile(x, columns_for(x, bx, &n));
    struct efx_value v = xt_eval_at(x, e, 0, &code);
    assert_int_equal(code, 0);
    assert_true(xt_same(&v, &want));
}

#define CALL(name, ...)                                                                            \
    call(x, name, sizeof((struct efx_bx *[]){__VA_ARGS__}) / sizeof(struct efx_bx *),              \
         (struct efx_bx *[]){__VA_ARGS__})
#define CAST(to, v)        xt_1(x, EFX_BX_CAST, EFX_TYPE_##to, v)
#define OP(op, type, a, b) xt_2(x, EFX_BX_##op, EFX_TYPE_##type, a, b)
#define NONE(type)         efx_value_null(EFX_TYPE_##type)

static void examples_of_casts__hold(void **state)
{
    (void)state;
    struct xt *x = xt_open();
    example(x, CAST(INT, XT_STR(" 12 ")), xt_v_int(12));
    example(x, CAST(INT, XT_STR("3.9")), NONE(INT));
    example(x, CAST(INT, XT_DOUBLE(-2.9)), xt_v_int(-2));
    example(x, CAST(LONG, XT_DOUBLE(1e20)), NONE(LONG));
    example(x, CAST(BOOL, XT_STR("Yes")), xt_v_bool(true));
    example(x, CAST(BOOL, XT_STR("maybe")), NONE(BOOL));
    example(x, CAST(STRING, XT_DOUBLE(1)), xt_v_str("1.0"));
    example(x, CAST(INT, XT_BOOL(true)), xt_v_int(1));
    example(x, CAST(STRING, XT_BOOL(false)), xt_v_str("false"));
    example(x, CAST(STRING, XT_DOUBLE(1e15)), xt_v_str("1000000000000000.0"));
    example(x, CAST(STRING, XT_DOUBLE(15e15)), xt_v_str("1.5e16"));
    example(x, CAST(STRING, XT_DOUBLE(0.00001)), xt_v_str("1e-5"));
    example(x, CAST(STRING, CALL("sqrt", XT_INT(-1))), xt_v_str("NaN"));
    example(x, CAST(STRING, XT_LONG(INT64_MIN)), xt_v_str("-9223372036854775808"));
    example(x, CAST(INT, XT_LONG(3000000000)), NONE(INT));
    example(x, CAST(BOOL, XT_INT(-3)), xt_v_bool(true));
    xt_close(x);
}

static void examples_of_arithmetic__hold(void **state)
{
    (void)state;
    struct xt *x = xt_open();
    struct efx_bx *i = XT_INT(7), *l = XT_LONG(2), *f = XT_FLOAT(0.5f);
    example(x, OP(DIV, DOUBLE, CAST(DOUBLE, i), CAST(DOUBLE, l)), xt_v_double(3.5));
    example(x, CALL("div", XT_INT(7), XT_LONG(2)), xt_v_long(3));
    example(x, OP(MOD, LONG, CAST(LONG, XT_INT(7)), XT_LONG(2)), xt_v_long(1));
    example(x, OP(MOD, INT, xt_1(x, EFX_BX_NEG, EFX_TYPE_INT, XT_INT(7)), XT_INT(3)), xt_v_int(-1));
    example(x, CALL("div", XT_INT(-7), XT_INT(2)), xt_v_int(-3));
    example(x, OP(DIV, DOUBLE, XT_DOUBLE(7), XT_DOUBLE(0)), NONE(DOUBLE));
    example(x, OP(MOD, INT, XT_INT(7), XT_INT(0)), NONE(INT));
    example(x, OP(ADD, FLOAT, CAST(FLOAT, XT_INT(7)), f), xt_v_float(7.5f));
    example(x, OP(ADD, DOUBLE, CAST(DOUBLE, XT_INT(7)), XT_DOUBLE(0.5)), xt_v_double(7.5));
    example(x, OP(ADD, INT, XT_INT(INT32_MAX), XT_INT(1)), xt_v_int(INT32_MIN));
    example(x, OP(MOD, LONG, XT_LONG(INT64_MIN), XT_LONG(-1)), xt_v_long(0));
    example(x, CALL("div", XT_LONG(INT64_MIN), XT_LONG(-1)), xt_v_long(INT64_MIN));
    example(x, CALL("div", XT_INT(1), XT_INT(0)), NONE(INT));
    xt_close(x);
}

static void examples_of_null__hold(void **state)
{
    (void)state;
    struct xt *x = xt_open();
    struct efx_bx *n = XT_NULL(EFX_TYPE_INT);
    is(x, OP(NE, BOOL, n, XT_INT(5)), NONE(BOOL));
    struct efx_bx *is5 = OP(EQ, BOOL, n, XT_INT(5));
    is(x, xt_1(x, EFX_BX_NOT, EFX_TYPE_BOOL, is5), NONE(BOOL));
    is(x, OP(AND, BOOL, XT_BOOL(false), is5), xt_v_bool(false));
    is(x, OP(OR, BOOL, is5, XT_BOOL(true)), xt_v_bool(true));
    struct efx_bx *same = OP(NOT_DISTINCT, BOOL, n, XT_INT(5));
    is(x, xt_1(x, EFX_BX_NOT, EFX_TYPE_BOOL, same), xt_v_bool(true));
    struct efx_bx *in[] = {XT_INT(3), XT_INT(3), n};
    is(x, xt_bx(x, EFX_BX_IN_LIST, EFX_TYPE_BOOL, 3, in), xt_v_bool(true));
    struct efx_bx *out[] = {XT_INT(3), XT_INT(1), n};
    struct efx_bx *in_out = xt_bx(x, EFX_BX_IN_LIST, EFX_TYPE_BOOL, 3, out);
    is(x, xt_1(x, EFX_BX_NOT, EFX_TYPE_BOOL, in_out), NONE(BOOL));
    struct efx_bx *when[] = {OP(GT, BOOL, XT_INT(7), XT_INT(5)), XT_DOUBLE(1), XT_DOUBLE(2.5)};
    is(x, xt_bx(x, EFX_BX_CASE, EFX_TYPE_DOUBLE, 3, when), xt_v_double(1));
    struct efx_bx *none[] = {OP(EQ, BOOL, XT_NULL(EFX_TYPE_STRING), XT_STR("A")), XT_INT(1), n};
    is(x, xt_bx(x, EFX_BX_CASE, EFX_TYPE_INT, 3, none), NONE(INT));
    is(x, xt_2(x, EFX_BX_COALESCE, EFX_TYPE_INT, n, XT_INT(4)), xt_v_int(4));
    xt_close(x);
}

static void examples_of_texts__hold(void **state)
{
    (void)state;
    struct xt *x = xt_open();
    example(x, CALL("length", XT_STR("naïve")), xt_v_int(5));
    example(x, CALL("octet_length", XT_STR("naïve")), xt_v_int(6));
    example(x, CALL("substring", XT_STR("naïve"), XT_INT(3), XT_INT(2)), xt_v_str("ïv"));
    example(x, CALL("substr", XT_STR("abc"), XT_INT(-5), XT_INT(2)), xt_v_str("ab"));
    example(x, CALL("substring", XT_STR("abc"), XT_INT(9)), xt_v_str(""));
    example(x, CALL("substring", XT_STR("abc"), XT_INT(2), XT_INT(-1)), xt_v_str(""));
    example(x, CALL("substring", XT_STR("a text of many letters"), XT_INT(8)),
            xt_v_str("of many letters"));
    example(x, OP(CONCAT, STRING, XT_STR("a"), XT_NULL(EFX_TYPE_STRING)), NONE(STRING));
    example(x, CALL("concat", XT_STR("a"), XT_INT(1), XT_DOUBLE(2), XT_BOOL(true)),
            xt_v_str("a12.0true"));
    example(x, CALL("concat", XT_STR("a"), XT_NULL(EFX_TYPE_INT)), NONE(STRING));
    example(x, CALL("upper", XT_STR("straße, naïve")), xt_v_str("STRAßE, NAÏVE"));
    example(x, CALL("lower", XT_STR("ÀÉ Ж")), xt_v_str("àé ж"));
    example(x, CALL("reverse", XT_STR("naïve")), xt_v_str("evïan"));
    example(x, CALL("left", XT_STR("naïve"), XT_INT(3)), xt_v_str("naï"));
    example(x, CALL("right", XT_STR("naïve"), XT_INT(3)), xt_v_str("ïve"));
    example(x, CALL("left", XT_STR("abc"), XT_INT(-1)), xt_v_str(""));
    example(x, CALL("right", XT_STR("abc"), XT_INT(9)), xt_v_str("abc"));
    example(x, CALL("trim", XT_STR(" \t a b\xE3\x80\x80\n")), xt_v_str("a b"));
    example(x, CALL("ltrim", XT_STR("xxyax"), XT_STR("yx")), xt_v_str("ax"));
    example(x, CALL("rtrim", XT_STR("aïï"), XT_STR("ï")), xt_v_str("a"));
    example(x, CALL("trim", XT_STR("   ")), xt_v_str(""));
    example(x, CALL("replace", XT_STR("aXbXc"), XT_STR("X"), XT_STR("--")), xt_v_str("a--b--c"));
    example(x, CALL("replace", XT_STR("abc"), XT_STR(""), XT_STR("-")), xt_v_str("abc"));
    example(x, CALL("repeat", XT_STR("ab"), XT_INT(3)), xt_v_str("ababab"));
    example(x, CALL("lpad", XT_STR("7"), XT_INT(3), XT_STR("0")), xt_v_str("007"));
    example(x, CALL("rpad", XT_STR("7"), XT_INT(4), XT_STR("äb")), xt_v_str("7äbä"));
    example(x, CALL("lpad", XT_STR("abcd"), XT_INT(2)), xt_v_str("ab"));
    example(x, CALL("lpad", XT_STR("ab"), XT_INT(5), XT_STR("")), xt_v_str("ab"));
    example(x, CALL("position", XT_STR("v"), XT_STR("naïve")), xt_v_int(4));
    example(x, CALL("instr", XT_STR("z"), XT_STR("naïve")), xt_v_int(0));
    example(x, CALL("split", XT_STR("a:b:c"), XT_STR(":"), XT_INT(2)), xt_v_str("b"));
    example(x, CALL("split", XT_STR("a:b:c"), XT_STR(":"), XT_INT(4)), NONE(STRING));
    example(x, CALL("split", XT_STR("abc"), XT_STR(""), XT_INT(1)), xt_v_str("abc"));
    example(x, CALL("ascii", XT_STR("é")), xt_v_int(0xE9));
    example(x, CALL("ascii", XT_STR("")), NONE(INT));
    example(x, CALL("chr", XT_INT(0x65E5)), xt_v_str("日"));
    example(x, CALL("char", XT_INT(0xD800)), NONE(STRING));
    example(x, CALL("contains", XT_STR("abc"), XT_STR("bc")), xt_v_bool(true));
    example(x, CALL("starts_with", XT_STR("abc"), XT_STR("bc")), xt_v_bool(false));
    example(x, CALL("ends_with", XT_STR("abc"), XT_STR("bc")), xt_v_bool(true));
    xt_close(x);
}

static void examples_of_regexes__hold(void **state)
{
    (void)state;
    struct xt *x = xt_open();
    example(x, OP(REGEXP, BOOL, XT_STR("abc"), XT_STR("^a.c$")), xt_v_bool(true));
    example(x, CALL("regexp_extract", XT_STR("id=42;"), XT_STR("id=(\\d+)"), XT_INT(1)),
            xt_v_str("42"));
    example(x, CALL("regexp_extract", XT_STR("id=42;"), XT_STR("id=(\\d+)")), xt_v_str("id=42"));
    example(x, CALL("regexp_extract", XT_STR("id"), XT_STR("\\d")), NONE(STRING));
    example(x, CALL("regexp_replace", XT_STR("a1b22"), XT_STR("(\\d+)"), XT_STR("<$1>")),
            xt_v_str("a<1>b<22>"));
    uint16_t code;
    const struct efx_value text = xt_v_str("a");
    xt_put(x, 0, 1, &text);
    struct efx_bx *bad[] = {CALL("regexp_replace", xt_col(x, 0), XT_STR("("), XT_STR("")),
                            CALL("regexp_extract", xt_col(x, 0), XT_STR("a"), XT_INT(3)),
                            CALL("repeat", xt_col(x, 0), XT_INT(2000000000))};
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(xt_eval_at(x, xt_compile(x, bad[i]), 0, &code).null);
        assert_int_equal(code, 3301);
    }
    xt_close(x);
}

static void examples_of_numbers__hold(void **state)
{
    (void)state;
    struct xt *x = xt_open();
    example(x, CALL("round", XT_DOUBLE(2.5)), xt_v_double(3));
    example(x, CALL("round", XT_DOUBLE(-2.5)), xt_v_double(-3));
    example(x, CALL("round", XT_DOUBLE(-1234.5), XT_INT(-2)), xt_v_double(-1200));
    example(x, CALL("round", XT_DOUBLE(2.675), XT_INT(2)), xt_v_double(2.67));
    example(x, CALL("round", XT_DOUBLE(1.5), XT_INT(400)), xt_v_double(1.5));
    example(x, CALL("round", XT_DOUBLE(1.5), XT_INT(-400)), xt_v_double(0));
    example(x, CALL("trunc", XT_DOUBLE(-2.79), XT_INT(1)), xt_v_double(-2.7));
    example(x, CALL("abs", XT_INT(INT32_MIN)), xt_v_int(INT32_MIN));
    example(x, CALL("abs", XT_LONG(-5)), xt_v_long(5));
    example(x, CALL("abs", XT_DOUBLE(-0.0)), xt_v_double(0));
    example(x, CALL("floor", XT_INT(3)), xt_v_double(3));
    example(x, CALL("ceiling", XT_DOUBLE(2.1)), xt_v_double(3));
    example(x, CALL("sign", XT_LONG(-9)), xt_v_int(-1));
    example(x, CALL("mod", XT_INT(-7), XT_DOUBLE(2.5)), xt_v_double(-2));
    example(x, CALL("mod", XT_INT(7), XT_INT(0)), NONE(DOUBLE));
    example(x, CALL("power", XT_INT(2), XT_INT(10)), xt_v_double(1024));
    example(x, CALL("log", XT_INT(2), XT_INT(8)), xt_v_double(3));
    example(x, CALL("maximum", XT_NULL(EFX_TYPE_INT), XT_INT(-5), XT_INT(-7)), xt_v_int(-5));
    example(x, CALL("minimum", XT_INT(3), XT_DOUBLE(2.5)), xt_v_double(2.5));
    example(x, CALL("greatest", XT_STR("a"), XT_STR("b")), xt_v_str("b"));
    example(x, CALL("least", XT_NULL(EFX_TYPE_LONG), XT_NULL(EFX_TYPE_LONG)), NONE(LONG));
    example(x, CALL("nullif", XT_INT(3), XT_DOUBLE(3)), NONE(INT));
    example(x, CALL("nullif", XT_STR("a"), XT_NULL(EFX_TYPE_STRING)), xt_v_str("a"));
    xt_close(x);
}

static void wrong_types__name_the_argument(void **state)
{
    (void)state;
    assert_int_equal(resolves("abs", 1, EFX_TYPE_STRING, 0), 1305);
    assert_int_equal(resolves("floor", 1, EFX_TYPE_BOOL, 0), 1305);
    assert_int_equal(resolves("length", 1, EFX_TYPE_INT, 0), 1305);
    assert_int_equal(resolves("octet_length", 1, EFX_TYPE_BYTES, 0), 0);
    assert_int_equal(resolves("div", 2, EFX_TYPE_INT, EFX_TYPE_DOUBLE), 1305);
    assert_int_equal(resolves("round", 2, EFX_TYPE_INT, EFX_TYPE_DOUBLE), 1305);
    assert_int_equal(resolves("greatest", 2, EFX_TYPE_INT, EFX_TYPE_STRING), 1305);
    assert_int_equal(resolves("maximum", 2, EFX_TYPE_STRING, EFX_TYPE_STRING), 1305);
    assert_int_equal(resolves("greatest", 2, EFX_TYPE_NONE, EFX_TYPE_NONE), 1303);
    assert_int_equal(resolves("abs", 1, EFX_TYPE_NONE, 0), 1303);
    assert_int_equal(resolves("concat", 2, EFX_TYPE_OBJECT, EFX_TYPE_INT), 1305);
}

/* Every function over random columns of whatever types it takes. */
static void loops__agree_with_single_values(void **state)
{
    (void)state;
    static const enum efx_type tries[][3] = {
        {EFX_TYPE_INT, EFX_TYPE_INT, EFX_TYPE_INT},
        {EFX_TYPE_LONG, EFX_TYPE_LONG, EFX_TYPE_INT},
        {EFX_TYPE_FLOAT, EFX_TYPE_INT, EFX_TYPE_INT},
        {EFX_TYPE_DOUBLE, EFX_TYPE_DOUBLE, EFX_TYPE_INT},
        {EFX_TYPE_STRING, EFX_TYPE_STRING, EFX_TYPE_STRING},
        {EFX_TYPE_STRING, EFX_TYPE_STRING, EFX_TYPE_INT},
        {EFX_TYPE_STRING, EFX_TYPE_INT, EFX_TYPE_STRING},
        {EFX_TYPE_STRING, EFX_TYPE_INT, EFX_TYPE_INT},
        {EFX_TYPE_BOOL, EFX_TYPE_BOOL, EFX_TYPE_BOOL},
    };
    uint32_t n_calls = 0;
    for (uint32_t f = 0; f < efx_n_funcs; f++) {
        const struct efx_func *fn = efx_funcs[f];
        bool slow = strncmp(fn->name, "regexp", 6) == 0 || strcmp(fn->name, "repeat") == 0 ||
                    strstr(fn->name, "pad") != NULL;
        for (uint32_t k = 0; k < sizeof tries / sizeof tries[0] * 3; k++) {
            const enum efx_type *want = tries[k / 3];
            uint32_t n = k % 3 + 1;
            enum efx_type types[3] = {want[0], want[1], want[2]};
            struct efx_func_types t = {.n = n, .arg = types};
            if (n < fn->min_args || n > fn->max_args || fn->resolve(&t) != 0) {
                continue;
            }
            struct xt *x = xt_open();
            struct efx_bx *args[3];
            for (uint32_t a = 0; a < n; a++) {
                xt_fill(x, a, want[a], slow ? 7 : 200, k % 2);
                args[a] = xt_col(x, a);
            }
            xt_mask(x, k % 2 * 2);
            struct efx_bx *bx = call(x, fn->name, n, args);
            xt_check(x, bx);
            n_calls++;
            xt_close(x);
        }
    }
    assert_true(n_calls > efx_n_funcs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples_of_casts__hold),
        cmocka_unit_test(examples_of_arithmetic__hold),
        cmocka_unit_test(examples_of_null__hold),
        cmocka_unit_test(examples_of_texts__hold),
        cmocka_unit_test(examples_of_regexes__hold),
        cmocka_unit_test(examples_of_numbers__hold),
        cmocka_unit_test(wrong_types__name_the_argument),
        cmocka_unit_test(loops__agree_with_single_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
