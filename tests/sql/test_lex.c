/* Tokens of the program text, and what the lexer says about text it cannot read. */
#include "efx_test.h"
#include "lex.h"

struct lexed {
    struct efx_arena arena;
    struct efx_diags diags;
    struct efx_tok *toks;
    uint32_t n;
};

static void lex_bytes(struct lexed *l, const char *p, size_t n)
{
    efx_arena_init(&l->arena, &efx_mem_libc, 64u << 20);
    efx_diags_init(&l->diags, &l->arena, (struct efx_str){p, (uint32_t)n}, "t.sql");
    assert_int_equal(efx_lex__run(&l->arena, &l->diags, &l->toks, &l->n), EFX_OK);
    assert_int_equal(l->toks[l->n - 1].kind, EFX_TOK_END);
}

/* The kinds of `text`, without END, must be `want`, which ends with 0. */
static void expect(const char *text, const uint8_t *want)
{
    struct lexed l;
    lex_bytes(&l, text, strlen(text));
    uint32_t i = 0;
    for (; want[i] != 0; i++) {
        assert_int_equal(l.toks[i].kind, want[i]);
    }
    assert_int_equal(l.n, i + 1);
    assert_int_equal(l.diags.n_errors, 0);
    efx_arena_fini(&l.arena);
}
#define EXPECT(text, ...) expect(text, (const uint8_t[]){__VA_ARGS__, 0})

static void expect_error(const char *text, size_t n, uint16_t code, uint32_t off)
{
    struct lexed l;
    lex_bytes(&l, text, n);
    assert_int_equal(l.diags.n_errors, 1);
    assert_int_equal(l.diags.errors->code, code);
    assert_int_equal(l.diags.errors->at.off, off);
    efx_arena_fini(&l.arena);
}

static void lex__words_are_sorted_and_found_in_any_case(void **state)
{
    (void)state;
    for (uint16_t w = EFX_W_NONE + 1; w < EFX_W_END_OF_LIST; w++) {
        const char *text = efx_lex__word_text(w);
        assert_int_equal(efx_lex__word(efx_str_of(text)), w);
        assert_true(w == 1 || strcmp(efx_lex__word_text((uint16_t)(w - 1)), text) < 0);
    }
    assert_int_equal(efx_lex__word(efx_str_of("sElEcT")), EFX_W_SELECT);
    assert_int_equal(efx_lex__word(efx_str_of("selects")), EFX_W_NONE);
    assert_int_equal(efx_lex__word(efx_str_of("a_word_longer_than_all_keywords")), EFX_W_NONE);
}

static void lex__numbers_take_point_and_exponent(void **state)
{
    (void)state;
    EXPECT("42", EFX_TOK_NUMBER);
    EXPECT("3.14 .5 5. 1e5 1.5E-3 5.e2", EFX_TOK_DECIMAL, EFX_TOK_DECIMAL, EFX_TOK_DECIMAL,
           EFX_TOK_DECIMAL, EFX_TOK_DECIMAL, EFX_TOK_DECIMAL);
    EXPECT("100ms", EFX_TOK_NUMBER, EFX_TOK_WORD);
    EXPECT("1e", EFX_TOK_NUMBER, EFX_TOK_WORD);
    EXPECT("e1[0].v", EFX_TOK_WORD, EFX_TOK_LBRACKET, EFX_TOK_NUMBER, EFX_TOK_RBRACKET, EFX_TOK_DOT,
           EFX_TOK_WORD);
    EXPECT("5...", EFX_TOK_NUMBER, EFX_TOK_ELLIPSIS);
}

static void lex__longest_mark_wins(void **state)
{
    (void)state;
    EXPECT("a->b", EFX_TOK_WORD, EFX_TOK_ARROW, EFX_TOK_WORD);
    EXPECT("a<2:3>->b", EFX_TOK_WORD, EFX_TOK_LT, EFX_TOK_NUMBER, EFX_TOK_COLON, EFX_TOK_NUMBER,
           EFX_TOK_GT, EFX_TOK_ARROW, EFX_TOK_WORD);
    EXPECT("= == <> != <= >=", EFX_TOK_EQ, EFX_TOK_EQ, EFX_TOK_NE, EFX_TOK_NE, EFX_TOK_LE,
           EFX_TOK_GE);
    EXPECT("|| | :: : ...", EFX_TOK_BARS, EFX_TOK_BAR, EFX_TOK_CAST, EFX_TOK_COLON,
           EFX_TOK_ELLIPSIS);
    EXPECT("#x !x", EFX_TOK_HASH, EFX_TOK_WORD, EFX_TOK_BANG, EFX_TOK_WORD);
}

static void lex__comments_leave_nothing_and_nest(void **state)
{
    (void)state;
    EXPECT("a -- b\nc", EFX_TOK_WORD, EFX_TOK_WORD);
    EXPECT("a /* b /* c */ d */ e", EFX_TOK_WORD, EFX_TOK_WORD);
    EXPECT("'--' \"/*\"", EFX_TOK_STRING, EFX_TOK_QUOTED);
    EXPECT("- -5", EFX_TOK_MINUS, EFX_TOK_MINUS, EFX_TOK_NUMBER);
}

static void lex__names_may_be_of_any_script(void **state)
{
    (void)state;
    EXPECT("größe _x$1@b Ж 価格", EFX_TOK_WORD, EFX_TOK_WORD, EFX_TOK_WORD, EFX_TOK_WORD);
    EXPECT("\xEF\xBB\xBFSELECT", EFX_TOK_WORD);
    expect_error("a €", strlen("a €"), 1009, 2);
}

static void lex__doubled_quotes_stand_for_themselves(void **state)
{
    (void)state;
    const struct {
        const char *text, *want;
    } cases[] = {{"'it''s'", "it's"}, {"\"a\"\"b\"", "a\"b"}, {"`a``b`", "a`b"},
                 {"''", ""},          {"''''", "'"},          {"'a\"b\\'", "a\"b\\"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lexed l;
        lex_bytes(&l, cases[i].text, strlen(cases[i].text));
        assert_int_equal(l.n, 2);
        struct efx_str s = efx_lex__unquote(&l.arena, efx_str_of(cases[i].text));
        assert_string_equal(s.p, cases[i].want);
        assert_int_equal(s.n, strlen(cases[i].want));
        efx_arena_fini(&l.arena);
    }
}

static void lex__what_is_not_closed_is_reported_where_it_opens(void **state)
{
    (void)state;
    expect_error("a 'bc", 5, 1002, 2);
    expect_error("a 'bc''", 7, 1002, 2);
    expect_error("a \"bc", 5, 1002, 2);
    expect_error("a `bc", 5, 1002, 2);
    expect_error("a /* b /* c */ d", 16, 1002, 2);
    expect_error("'", 1, 1002, 0);
}

static void lex__bad_bytes_are_reported_once_also_in_strings(void **state)
{
    (void)state;
    expect_error("a '\xFF\xFF'", 6, 1009, 3);
    expect_error("a -- \xC0\x80", 7, 1009, 5);
    expect_error("a \xED\xA0\x80 b", 7, 1009, 2);
    expect_error("a \xE2\x82", 4, 1009, 2);
    expect_error("a \0 b", 5, 1009, 2);
    expect_error("a \\ b", 5, 1009, 2);
    expect_error("a \x01 b", 5, 1009, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lex__words_are_sorted_and_found_in_any_case),
        cmocka_unit_test(lex__numbers_take_point_and_exponent),
        cmocka_unit_test(lex__longest_mark_wins),
        cmocka_unit_test(lex__comments_leave_nothing_and_nest),
        cmocka_unit_test(lex__names_may_be_of_any_script),
        cmocka_unit_test(lex__doubled_quotes_stand_for_themselves),
        cmocka_unit_test(lex__what_is_not_closed_is_reported_where_it_opens),
        cmocka_unit_test(lex__bad_bytes_are_reported_once_also_in_strings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
