/* Numbers as text and back, LIKE, case mapping, regular expressions, uuid. */
#include "expr_test.h"

#include "efx_text.h"

static void double_is(double d, const char *want)
{
    char buf[40];
    uint32_t n = efx_eval_double_text(d, buf);
    assert_true(efx_str_equal((struct efx_str){buf, n}, efx_str_of(want)));
}

static void float_is(float f, const char *want)
{
    char buf[40];
    uint32_t n = efx_eval_float_text(f, buf);
    assert_true(efx_str_equal((struct efx_str){buf, n}, efx_str_of(want)));
}

static void double_text__is_the_shortest_in_the_one_layout(void **state)
{
    (void)state;
    double_is(0, "0.0");
    double_is(-0.0, "-0.0");
    double_is(1, "1.0");
    double_is(-2.5, "-2.5");
    double_is(0.1, "0.1");
    double_is(0.1 + 0.2, "0.30000000000000004");
    double_is(100, "100.0");
    double_is(123456.75, "123456.75");
    double_is(1e15, "1000000000000000.0");
    double_is(9007199254740993.0, "9007199254740992.0");
    double_is(9999999999999998.0, "9999999999999998.0");
    double_is(1e16, "1e16");
    double_is(15e15, "1.5e16");
    double_is(0.0001, "0.0001");
    double_is(0.00012345678901234567, "0.00012345678901234567");
    double_is(0.00009999, "9.999e-5");
    double_is(0.00001, "1e-5");
    double_is(-1.5e-7, "-1.5e-7");
    double_is(1e300, "1e300");
    double_is(5e-324, "5e-324");
    double_is(2.2250738585072014e-308, "2.2250738585072014e-308");
    double_is(1.7976931348623157e308, "1.7976931348623157e308");
    double_is((double)NAN, "NaN");
    double_is((double)INFINITY, "Infinity");
    double_is(-(double)INFINITY, "-Infinity");
    float_is(0.1f, "0.1");
    float_is(16777216.0f, "16777216.0");
    float_is(3.4028235e38f, "3.4028235e38");
    float_is(1e-45f, "1e-45");
}

static void numbers__read_back_the_same(void **state)
{
    (void)state;
    uint64_t rand = 11;
    for (uint32_t k = 0; k < 50000; k++) {
        uint64_t bits = efx_test_rand(&rand);
        double d, back = 0;
        float f;
        memcpy(&d, &bits, 8);
        memcpy(&f, &bits, 4);
        char buf[40];
        uint32_t n = efx_eval_double_text(d, buf);
        assert_true(n <= 40 && efx_eval_parse_double((struct efx_str){buf, n}, &back));
        assert_int_equal(efx_double_compare(d, back), 0);
        n = efx_eval_float_text(f, buf);
        struct efx_value v;
        assert_true(efx_text__parse((struct efx_str){buf, n}, EFX_TYPE_FLOAT, &v));
        assert_int_equal(efx_double_compare((double)f, (double)v.f), 0);
    }
}

static void parse_double__takes_decimals_only(void **state)
{
    (void)state;
    static const char *const good[] = {"1",   " -1.5e3\n", "+.5",         "5.",  "1E-3",
                                       "NaN", "Infinity",  " -Infinity ", "0e0", "1e-400"};
    static const char *const bad[] = {"",     " ",     ".",   "e5",       "1e",  "1e+",
                                      "0x10", "inf",   "nan", "INFINITY", "1 2", "1f",
                                      "--1",  "1e400", "1,5", "infinity"};
    double d;
    for (uint32_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(efx_eval_parse_double(efx_str_of(good[i]), &d));
    }
    for (uint32_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(efx_eval_parse_double(efx_str_of(bad[i]), &d));
    }
}

static bool whole_is(const char *text, enum efx_type t, int64_t want)
{
    struct efx_value v = {.type = t};
    return efx_text__parse(efx_str_of(text), t, &v) && (t == EFX_TYPE_INT ? v.i : v.l) == want;
}

static void integers__are_read_within_their_range(void **state)
{
    (void)state;
    struct efx_value v;
    assert_true(whole_is(" -9223372036854775808", EFX_TYPE_LONG, INT64_MIN));
    assert_true(whole_is("+9223372036854775807", EFX_TYPE_LONG, INT64_MAX));
    assert_true(whole_is("-2147483648", EFX_TYPE_INT, INT32_MIN));
    assert_true(whole_is("007", EFX_TYPE_INT, 7));
    assert_false(efx_text__parse(efx_str_of("9223372036854775808"), EFX_TYPE_LONG, &v));
    assert_false(efx_text__parse(efx_str_of("2147483648"), EFX_TYPE_INT, &v));
    assert_false(efx_text__parse(efx_str_of("-"), EFX_TYPE_INT, &v));
    assert_false(efx_text__parse(efx_str_of(""), EFX_TYPE_LONG, &v));
    assert_false(efx_text__parse(efx_str_of("1.0"), EFX_TYPE_LONG, &v));
}

struct like_case {
    const char *text, *pattern;
    uint32_t escape;
    bool fold, want;
};

static void like__matches_the_whole_text(void **state)
{
    (void)state;
    static const struct like_case cases[] = {
        {"abc", "abc", '\\', false, true},
        {"abc", "ab", '\\', false, false},
        {"abc", "a%", '\\', false, true},
        {"abc", "%c", '\\', false, true},
        {"abc", "%b%", '\\', false, true},
        {"abc", "a_c", '\\', false, true},
        {"abc", "A_c", '\\', false, false},
        {"abc", "A_c", '\\', true, true},
        {"", "", '\\', false, true},
        {"", "%", '\\', false, true},
        {"", "_", '\\', false, false},
        {"a\nb", "a%b", '\\', false, true},
        {"50%", "50!%", '!', false, true},
        {"50x", "50!%", '!', false, false},
        {"50\\%", "50\\%", 0, false, true},
        {"50%", "50\\%", 0, false, false},
        {"a_b", "a\\_b", '\\', false, true},
        {"axb", "a\\_b", '\\', false, false},
        {"a\\", "a\\", '\\', false, true},
        {"naïve", "na_ve", '\\', false, true},
        {"ÄRGER", "är%", '\\', true, true},
        {"ÄRGER", "är%", '\\', false, false},
        {"aXbXc", "a%X%c", '\\', false, true},
        {"aab", "%ab", '\\', false, true},
        {"ab", "ab%ab", '\\', false, false},
        {"abab", "ab%ab", '\\', false, true},
        {"mississippi", "m%iss%ip%i", '\\', false, true},
        {"mississippi", "m%iss%ipx%i", '\\', false, false},
        {"日本語", "日__", '\\', false, true},
        {"x日", "_é", 0xE9, false, false},
    };
    struct xt *x = xt_open();
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct like_case *c = &cases[i];
        struct efx_str text = efx_str_of(c->text), pattern = efx_str_of(c->pattern);
        assert_int_equal(efx_text__like(text, pattern, c->escape, c->fold), c->want);
        const struct efx_text__runs *runs;
        assert_int_equal(efx_text__runs_make(&x->plan, pattern, c->escape, &runs), EFX_OK);
        if (runs != NULL && !c->fold) {
            const uint8_t *s = (const uint8_t *)text.p;
            assert_int_equal(efx_text__runs_match(runs, s, text.n), c->want);
        }
    }
    xt_close(x);
}

static void case_mapping__is_one_to_one_in_every_script(void **state)
{
    (void)state;
    static const uint32_t pairs[][2] = {
        {'a', 'A'},       {0xE4, 0xC4},     {0x101, 0x100},   {0x3B1, 0x391},
        {0x430, 0x410},   {0x451, 0x401},   {0x561, 0x531},   {0x10D0, 0x1C90},
        {0x1E01, 0x1E00}, {0x24D0, 0x24B6}, {0xFF41, 0xFF21}, {0x10428, 0x10400},
    };
    for (uint32_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        assert_int_equal(efx_text__upper(pairs[i][0]), pairs[i][1]);
        assert_int_equal(efx_text__lower(pairs[i][1]), pairs[i][0]);
    }
    assert_int_equal(efx_text__upper(0xDF), 0xDF); /* sharp s: its capital form is two letters */
    assert_int_equal(efx_text__upper(0x3C2), 0x3A3);
    assert_int_equal(efx_text__lower(0x3A3), 0x3C3);
    assert_int_equal(efx_text__upper(0x4E2D), 0x4E2D);
}

static void regexp__gives_up_instead_of_running_for_ever(void **state)
{
    (void)state;
    struct xt *x = xt_open();
    const char *text = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab";
    const struct efx_value v[] = {xt_v_str(text), xt_v_str("ab")};
    xt_put(x, 0, 2, v);
    struct efx_bx *slow = XT_STR("^(a+)+$|(?:(a*)*)*c");
    const struct efx_expr *e =
        xt_compile(x, xt_2(x, EFX_BX_REGEXP, EFX_TYPE_BOOL, xt_col(x, 0), slow));
    uint16_t code;
    assert_true(xt_eval_at(x, e, 0, &code).null);
    assert_int_equal(code, 3301);
    struct efx_value quick = xt_eval_at(x, e, 1, &code);
    assert_int_equal(code, 0);
    assert_false(quick.null || quick.b);
    xt_close(x);
}

static void regexp__keeps_many_computed_patterns_apart(void **state)
{
    (void)state;
    struct xt *x = xt_open();
    struct efx_value text[100], pattern[100];
    for (uint32_t i = 0; i < 100; i++) {
        text[i] = xt_v_str("row 7 and 42");
        pattern[i] = xt_v_str(efx_arena_printf(&x->plan, i % 5 == 4 ? "[%u" : "\\b%u\\b", i % 50));
    }
    xt_put(x, 0, 100, text);
    xt_put(x, 1, 100, pattern);
    xt_check(x, xt_2(x, EFX_BX_REGEXP, EFX_TYPE_BOOL, xt_col(x, 0), xt_col(x, 1)));
    xt_close(x);
}

static void uuid__follows_from_its_cause(void **state)
{
    (void)state;
    struct xt *x = xt_open();
    xt_fill(x, 0, EFX_TYPE_INT, 6, 0);
    const efx_moment moments[] = {efx_moment_event(0, 0, 1), efx_moment_event(0, 0, 1),
                                  efx_moment_event(0, 0, 2), efx_moment_timer(5, 3),
                                  efx_moment_timer(5, 3),    efx_moment_timer(5, 4)};
    x->b.moment = moments;
    x->step.first_turn = 100;
    struct efx_bx *bx = xt_bx(x, EFX_BX_UUID, EFX_TYPE_STRING, 0, NULL);
    bx->place = 2;
    const struct efx_expr *e = xt_compile(x, bx);
    const struct efx_rows rows = efx_rows_all(&x->b);
    struct efx_col c;
    efx_expr_eval(e, &x->ctx, &x->step, &rows, &c, NULL);
    char want[36];
    efx_eval_uuid(0, 101, 2, 1, want);
    struct efx_value v = efx_value_of_col(&c, 1);
    assert_int_equal(v.s.n, 36);
    assert_memory_equal(v.s.p, want, 36);
    assert_true(want[14] == '4' && want[8] == '-' && strchr("89ab", want[19]) != NULL);
    for (uint32_t i = 0; i < 6; i++) {
        for (uint32_t k = 0; k < i; k++) {
            struct efx_value a = efx_value_of_col(&c, i), b = efx_value_of_col(&c, k);
            assert_false(efx_str_equal(a.s, b.s));
        }
        uint16_t code; /* and the same in a slice of its own */
        struct efx_value alone = xt_eval_at(x, e, i, &code), all = efx_value_of_col(&c, i);
        assert_true(efx_str_equal(alone.s, all.s));
    }
    xt_close(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(double_text__is_the_shortest_in_the_one_layout),
        cmocka_unit_test(numbers__read_back_the_same),
        cmocka_unit_test(parse_double__takes_decimals_only),
        cmocka_unit_test(integers__are_read_within_their_range),
        cmocka_unit_test(like__matches_the_whole_text),
        cmocka_unit_test(case_mapping__is_one_to_one_in_every_script),
        cmocka_unit_test(regexp__gives_up_instead_of_running_for_ever),
        cmocka_unit_test(regexp__keeps_many_computed_patterns_apart),
        cmocka_unit_test(uuid__follows_from_its_cause),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
