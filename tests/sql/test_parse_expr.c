/* Expressions, literals and durations as trees. */
#include "parse_test.h"

static void same(const char *text, const char *want)
{
    struct parsed p;
    struct dump d = {.n = 0};
    parse(&p, text, PARSE_EXPR);
    assert_clean(&p, text);
    dump_expr(&d, p.expr);
    assert_string_equal(d.text, want);
    parse_end(&p);
}

/* The whole text has this one error, under `under`. */
static void wrong(const char *text, uint16_t code, const char *under)
{
    struct parsed p;
    parse(&p, text, PARSE_EXPR);
    assert_true(p.diags.n_errors > 0);
    const struct efx_diag *d = p.diags.errors;
    if (d->code != code || (under != NULL && strncmp(text + d->at.off, under, d->at.len) != 0)) {
        print_error("%s", efx_diag_text(&p.diags, d));
    }
    assert_int_equal(d->code, code);
    if (under != NULL) {
        assert_int_equal(d->at.len, strlen(under));
        assert_memory_equal(text + d->at.off, under, d->at.len);
    }
    parse_end(&p);
}

static void expr__operators_bind_as_the_reference_says(void **state)
{
    (void)state;
    same("a + b * c - d", "(- (+ a (* b c)) d)");
    same("a || b + c", "(+ (|| a b) c)");
    same("-a * b", "(* (neg a) b)");
    same("-a::INT", "(neg (cast:INT a))");
    same("- -5", "(neg -5)");
    same("a - 5", "(- a 5)");
    same("a -5", "(- a 5)");
    same("a - -5", "(- a -5)");
    same("NOT a = b AND c OR d", "(or (and (not (= a b)) c) d)");
    same("NOT NOT a", "(not (not a))");
    same("(a OR b) AND c", "(and (or a b) c)");
    same("a == b", "(= a b)");
    same("a != b", "(<> a b)");
    same("(a < b) = c", "(= (< a b) c)");
    same("1 % 2 / 3", "(/ (% 1 2) 3)");
    same("a::DOUBLE PRECISION::varchar(9)", "(cast:VARCHAR() (cast:DOUBLE PRECISION a))");
}

static void expr__chains_of_and_are_balanced_in_order(void **state)
{
    (void)state;
    same("a AND b AND c AND d", "(and (and a b) (and c d))");
    same("a OR b OR c", "(or (or a b) c)");
    struct parsed p;
    static char text[64 * 1024];
    strcpy(text, "a0");
    size_t n = 2;
    for (int i = 1; i < 5000; i++) {
        n += (size_t)snprintf(text + n, sizeof text - n, " OR a%d", i);
    }
    parse(&p, text, PARSE_EXPR);
    assert_clean(&p, text);
    assert_true(p.expr->height <= 14);
    assert_int_equal(p.expr->at.off, 0);
    assert_int_equal(p.expr->at.len, n);
    parse_end(&p);
}

static void expr__predicates_take_their_forms(void **state)
{
    (void)state;
    same("a BETWEEN 1 AND 2 AND b", "(and (betw a 1 2) b)");
    same("a NOT BETWEEN 1 + 1 AND 2", "(!betw a (+ 1 1) 2)");
    same("a IN (1, 2, 3)", "(in a 1 2 3)");
    same("a NOT IN t", "(!in:t a)");
    same("a IN t.c", "(in:t.c a)");
    same("a CONTAINS IN t", "(in:t a)");
    same("(T.k = a AND T.v > v) IN T", "(in:T (and (= T.k a) (> T.v v)))");
    same("a LIKE 'x%' ESCAPE '!'", "(like a 'x%' '!')");
    same("a NOT ILIKE b", "(!ilike a b)");
    same("a REGEXP '^x'", "(re a '^x')");
    same("a NOT RLIKE b || c", "(!re a (|| b c))");
    same("a IS NOT NULL", "(!is:null a)");
    same("a IS TRUE", "(is:true a)");
    same("a IS NOT FALSE", "(!is:false a)");
    same("a IS UNKNOWN", "(is:unknown a)");
    same("a IS NOT DISTINCT FROM b + 1", "(!is:distinct a (+ b 1))");
}

static void expr__literals_have_their_types(void **state)
{
    (void)state;
    same("-2147483648", "-2147483648");
    same("3000000000", "3000000000");
    same("-9223372036854775808", "-9223372036854775808");
    same("+7", "7");
    same("1e5", "100000d");
    same(".5", "0.5d");
    same("5.", "5d");
    same("-1.5E-3", "-0.0015d");
    same("'it''s'", "'it's'");
    same("TRUE", "true");
    same("null", "null");
    same("INTERVAL '5' SECOND", "5000ms");
    same("INTERVAL 5 MINUTES", "300000ms");
    same("-INTERVAL 1 week", "(neg 604800000ms)");
    same("INTERVAL '0' SECOND + ts", "(+ 0ms ts)");
}

static void expr__months_count_as_days_with_a_warning(void **state)
{
    (void)state;
    struct parsed p;
    parse(&p, "INTERVAL 1 MONTH + INTERVAL '2' YEARS", PARSE_EXPR);
    assert_int_equal(p.diags.n_errors, 0);
    assert_int_equal(p.diags.n_warnings, 2);
    assert_int_equal(p.diags.warnings->code, 2102);
    assert_int_equal(p.expr->args[0]->i, INT64_C(30) * 86400000);
    assert_int_equal(p.expr->args[1]->i, INT64_C(730) * 86400000);
    parse_end(&p);
}

static void expr__references_take_qualifier_and_index(void **state)
{
    (void)state;
    same("s.order", "s.order");
    same("\"my col\"", "my col");
    same("e1[0].px", "e1[0].px");
    same("e1[last].px", "e1[last-0].px");
    same("e1[LAST - 2].px", "e1[last-2].px");
    same("#Avg.a", "#Avg.a");
    same("!S._error", "!S._error");
    same("first.c + last.c", "(+ first.c last.c)");
    same("interval + date - timestamp", "(- (+ interval date) timestamp)");
    same("count + value + key + end", "(+ (+ (+ count value) key) end)");
}

static void expr__calls_take_their_forms(void **state)
{
    (void)state;
    same("count(*)", "(call:count (*all))");
    same("now()", "(call:now)");
    same("count(DISTINCT a)", "(call:count distinct a)");
    same("sum(a) FILTER (WHERE b > 1)", "(call:sum a filter (> b 1))");
    same("AND(a) = OR(b)", "(= (call:AND a) (call:OR b))");
    same("left(a, 1)", "(call:left a 1)");
    same("if(a, 1, 2)", "(call:if a 1 2)");
    same("ns:f(a, 1)", "(call:ns:f a 1)");
    same("CAST(a AS double precision)", "(cast:CAST:DOUBLE PRECISION a)");
    same("cast(a, 'int')", "(call:cast a 'int')");
    same("EXTRACT(HOUR FROM ts)", "(extract:HOUR ts)");
    same("SUBSTRING(a FROM 2 FOR 3)", "(call:SUBSTRING a 2 3)");
    same("substring(a, 2)", "(call:substring a 2)");
    same("POSITION('x' IN a)", "(call:POSITION 'x' a)");
    same("position('x', a)", "(call:position 'x' a)");
}

static void expr__trim_takes_sides_and_characters(void **state)
{
    (void)state;
    same("trim(a)", "(call:trim a)");
    same("TRIM(FROM a)", "(trim:BOTH a)");
    same("TRIM(LEADING FROM a)", "(trim:LEADING a)");
    same("trim(trailing 'x' FROM a)", "(trim:TRAILING a 'x')");
    same("TRIM('x' FROM a)", "(trim:BOTH a 'x')");
    same("trim(leading)", "(call:trim leading)");
}

static void expr__case_takes_its_forms(void **state)
{
    (void)state;
    same("CASE WHEN a THEN 1 END", "(case a 1)");
    same("CASE a WHEN 1 THEN 2 WHEN 3 THEN 4 ELSE 5 END", "(case subject else a 1 2 3 4 5)");
    same("CASE WHEN (a) THEN (b) ELSE (c) END + 1", "(+ (case else a b c) 1)");
    same("CASE CASE WHEN a THEN b END WHEN c THEN d END", "(case subject (case a b) c d)");
    same("case when end_ then (end) end", "(case end_ end)");
}

static void expr__places_are_those_of_the_text(void **state)
{
    (void)state;
    struct parsed p;
    parse(&p, "price = 'high'", PARSE_EXPR);
    assert_int_equal(p.expr->op_at.off, 6);
    assert_int_equal(p.expr->op_at.len, 1);
    assert_int_equal(p.expr->at.off, 0);
    assert_int_equal(p.expr->at.len, 14);
    assert_int_equal(p.expr->args[1]->at.off, 8);
    parse_end(&p);
    parse(&p, "(a + sum(b))", PARSE_EXPR);
    assert_true(p.expr->parens);
    assert_int_equal(p.expr->at.len, 12);
    assert_int_equal(p.expr->op_at.off, 3);
    assert_int_equal(p.expr->args[1]->op_at.off, 5);
    assert_int_equal(p.expr->args[1]->op_at.len, 3);
    parse_end(&p);
    parse(&p, "a NOT  IN (1)", PARSE_EXPR);
    assert_int_equal(p.expr->op_at.off, 2);
    assert_int_equal(p.expr->op_at.len, 7);
    parse_end(&p);
}

static void expr__faults_are_reported_at_their_token(void **state)
{
    (void)state;
    wrong("a < b < c", 1001, "<");
    wrong("a = b IS NULL", 1001, "IS");
    wrong("a IN ()", 1001, ")");
    wrong("a +", 1001, "");
    wrong("a b", 1001, "b");
    wrong("a.b.c", 1001, ".");
    wrong("", 1001, "");
    wrong("CASE END", 1005, "END");
    wrong("CASE WHEN a THEN b", 1001, "");
    wrong("5f", 1003, "5f");
    wrong("10L + 1", 1003, "10L");
    wrong("9223372036854775808", 1003, "9223372036854775808");
    wrong("-9223372036854775809", 1003, "-9223372036854775809");
    wrong("1e999", 1003, "1e999");
    wrong("a + from", 1005, "from");
    wrong("a = case", 1005, "case");
    wrong("not", 1005, "not");
    wrong("e1[-1].v", 1606, "[-1]");
    wrong("e1[first].v", 1606, "[first]");
    wrong("e1[i + 1].v", 1606, "[i + 1]");
    wrong("e1[99999999999].v", 1606, "[99999999999]");
    wrong("INTERVAL '5' FORTNIGHT", 1006, "FORTNIGHT");
    wrong("INTERVAL '5 min' SECOND", 1006, "'5 min'");
    wrong("INTERVAL 9223372036854775807 DAY", 1006, "9223372036854775807");
}

static void expr__refused_forms_have_their_code(void **state)
{
    (void)state;
    static const char *const forms[] = {
        "a & b",
        "a | b",
        "a ^ b",
        "~a",
        "a << 2",
        "a >> 2",
        "?",
        "$1",
        ":x",
        "a IN (SELECT b FROM t)",
        "(SELECT a FROM t)",
        "EXISTS (SELECT 1)",
        "a = ANY (SELECT b FROM t)",
        "a > ALL (b)",
        "sum(a) OVER (PARTITION BY b)",
        "sum(a) OVER w",
        "sum(a ORDER BY b)",
        "percentile(0.5) WITHIN GROUP (ORDER BY a)",
        "f(x => 1)",
        "f(x := 1)",
        "DATE '2020-01-01'",
        "TIMESTAMP '2020-01-01 00:00:00'",
        "a COLLATE \"de\"",
        "a AT TIME ZONE 'UTC'",
        "a SIMILAR TO 'x'",
        "ARRAY[1, 2]",
        "[1, 2]",
        "{a: 1}",
        "@x",
        "a::JSON",
        "CAST(a AS INT[])",
    };
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        wrong(forms[i], 1901, NULL);
    }
}

static void expr__nesting_has_a_limit_in_every_form(void **state)
{
    (void)state;
    static const struct {
        const char *open, *close;
    } forms[] = {{"(", ")"},
                 {"- ", ""},
                 {"NOT ", ""},
                 {"f(", ")"},
                 {"CASE WHEN ", " THEN 1 END"},
                 {"a IN (", ")"},
                 {"POSITION(", " IN b)"}};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        for (int levels = 200; levels <= 201; levels++) {
            static char text[16 * 1024];
            size_t n = 0;
            for (int k = 0; k < levels; k++) {
                n += (size_t)snprintf(text + n, sizeof text - n, "%s", forms[i].open);
            }
            n += (size_t)snprintf(text + n, sizeof text - n, "a");
            for (int k = 0; k < levels; k++) {
                n += (size_t)snprintf(text + n, sizeof text - n, "%s", forms[i].close);
            }
            struct parsed p;
            parse(&p, text, PARSE_EXPR);
            assert_int_equal(p.diags.n_errors, levels == 200 ? 0 : 1);
            assert_true(levels == 200 || p.diags.errors->code == 1007);
            parse_end(&p);
        }
    }
}

static void expr__long_sums_are_fine_up_to_a_height(void **state)
{
    (void)state;
    static char text[8 * 1024];
    for (int n_terms = 1000; n_terms <= 1001; n_terms++) {
        struct parsed p;
        strcpy(text, "a");
        for (int k = 1; k < n_terms; k++) {
            strcat(text, "+a");
        }
        parse(&p, text, PARSE_EXPR);
        assert_int_equal(p.diags.n_errors, n_terms == 1000 ? 0 : 1);
        parse_end(&p);
    }
}

static void duration__text_of_with_values_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {{"5 sec", 5000},       {"100ms", 100},          {"1 hour 30 min", 5400000},
                {"250", 250},          {" 2 Days ", 172800000}, {"1h30m", 5400000},
                {"1 week", 604800000}, {"90 SECONDS", 90000},   {"3 hrs", 10800000}};
    static const char *const bad[] = {"",
                                      "sec",
                                      "0",
                                      "0 ms",
                                      "-5 sec",
                                      "1 month",
                                      "5 years",
                                      "1.5 sec",
                                      "5 us",
                                      "5 mss",
                                      "1 min 30",
                                      "5 5",
                                      "1 sec foo",
                                      "5 sec,",
                                      "9223372036854775807 days",
                                      "99999999999999999999"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        int64_t ms = 0;
        assert_true(efx_parse_duration(efx_str_of(good[i].text), &ms));
        assert_int_equal(ms, good[i].ms);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int64_t ms = 77;
        assert_false(efx_parse_duration(efx_str_of(bad[i]), &ms));
        assert_int_equal(ms, 77);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expr__operators_bind_as_the_reference_says),
        cmocka_unit_test(expr__chains_of_and_are_balanced_in_order),
        cmocka_unit_test(expr__predicates_take_their_forms),
        cmocka_unit_test(expr__literals_have_their_types),
        cmocka_unit_test(expr__months_count_as_days_with_a_warning),
        cmocka_unit_test(expr__references_take_qualifier_and_index),
        cmocka_unit_test(expr__calls_take_their_forms),
        cmocka_unit_test(expr__trim_takes_sides_and_characters),
        cmocka_unit_test(expr__case_takes_its_forms),
        cmocka_unit_test(expr__places_are_those_of_the_text),
        cmocka_unit_test(expr__faults_are_reported_at_their_token),
        cmocka_unit_test(expr__refused_forms_have_their_code),
        cmocka_unit_test(expr__nesting_has_a_limit_in_every_form),
        cmocka_unit_test(expr__long_sums_are_fine_up_to_a_height),
        cmocka_unit_test(duration__text_of_with_values_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
