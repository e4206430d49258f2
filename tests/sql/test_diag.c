/* How messages look, their order, and how many are kept. */
#include "efx_diag.h"
#include "efx_test.h"

static struct efx_arena arena;
static struct efx_diags diags;

static int open_arena(void **state)
{
    (void)state;
    efx_arena_init(&arena, &efx_mem_libc, 64u << 20);
    return 0;
}

static int close_arena(void **state)
{
    (void)state;
    efx_arena_fini(&arena);
    return 0;
}

static void start(const char *text)
{
    efx_diags_init(&diags, &arena, efx_str_of(text), "app.sql");
}

static struct efx_diag *say(uint16_t code, uint32_t off, uint32_t len)
{
    return efx_diag_add(&diags, code, (struct efx_span){off, len}, NULL, "at %u", (unsigned)off);
}

static void diag__text_is_the_form_of_the_reference(void **state)
{
    (void)state;
    start("CREATE STREAM Ticks (sym STRING, price DOUBLE, qty INT);\n\n"
          "SELECT sym, prise FROM Ticks INSERT INTO Out;\n");
    struct efx_diag *d =
        efx_diag_add(&diags, 1203, (struct efx_span){70, 5}, "did you mean 'price'?",
                     "unknown column '%s' in stream '%s'", "prise", "Ticks");
    assert_string_equal(efx_diag_text(&diags, d),
                        "error EFX-1203: unknown column 'prise' in stream 'Ticks'\n"
                        "  --> app.sql:3:13\n"
                        "   3 | SELECT sym, prise FROM Ticks INSERT INTO Out;\n"
                        "     |             ^^^^^\n"
                        "   hint: did you mean 'price'?\n");
}

static void diag__warning_without_hint_has_four_lines(void **state)
{
    (void)state;
    start("SELECT 1");
    assert_string_equal(efx_diag_text(&diags, say(2401, 7, 1)), "warning EFX-2401: at 7\n"
                                                                "  --> app.sql:1:8\n"
                                                                "   1 | SELECT 1\n"
                                                                "     |        ^\n");
}

static void diag__carets_align_behind_tabs_and_wide_characters(void **state)
{
    (void)state;
    start("\tä\tbad");
    const char *text = efx_diag_text(&diags, say(1001, 4, 3));
    assert_non_null(strstr(text, ":1:4\n"));
    assert_non_null(strstr(text, "   1 | \tä\tbad\n     | \t \t^^^\n"));
}

static void diag__a_span_of_many_lines_is_marked_to_the_end_of_the_first(void **state)
{
    (void)state;
    start("ab cd\r\nef");
    const char *text = efx_diag_text(&diags, say(1001, 3, 6));
    assert_non_null(strstr(text, "   1 | ab cd\n     |    ^^\n"));
}

static void diag__the_end_of_the_text_is_a_place(void **state)
{
    (void)state;
    start("ab\nSELECT");
    const char *text = efx_diag_text(&diags, say(1001, 9, 0));
    assert_non_null(strstr(text, ":2:7\n   2 | SELECT\n     |       ^\n"));
    start("");
    assert_non_null(strstr(efx_diag_text(&diags, say(1004, 0, 0)), ":1:1\n   1 | \n     | ^\n"));
}

static void diag__of_a_very_long_line_the_part_around_the_place_is_shown(void **state)
{
    (void)state;
    static char line[100001];
    memset(line, 'x', sizeof line - 1);
    line[50000] = '!';
    start(line);
    const char *text = efx_diag_text(&diags, say(1001, 50000, 1));
    assert_true(strlen(text) < 1000);
    assert_non_null(strstr(text, ":1:50001\n"));
    const char *source = strchr(strstr(text, "   1 | "), '!');
    const char *caret = strchr(text, '^');
    assert_non_null(source);
    /* The dots before are three bytes and one column. */
    assert_int_equal(source - strstr(text, "   1 | ") - 2, caret - strstr(text, "     | "));
}

static void diag__errors_are_in_order_of_place(void **state)
{
    (void)state;
    start("0123456789");
    say(1001, 5, 1);
    say(1203, 2, 1);
    say(1204, 5, 1);
    say(1205, 9, 1);
    const uint16_t want[] = {1203, 1001, 1204, 1205};
    const struct efx_diag *d = diags.errors;
    for (size_t i = 0; i < 4; i++, d = d->next) {
        assert_int_equal(d->code, want[i]);
    }
    assert_null(d);
    assert_int_equal(diags.n_errors, 4);
    assert_int_equal(diags.n_warnings, 0);
}

static void diag__the_same_code_at_the_same_place_is_kept_once(void **state)
{
    (void)state;
    start("0123456789");
    assert_non_null(say(1001, 5, 1));
    assert_null(say(1001, 5, 3));
    assert_non_null(say(1002, 5, 1));
    assert_int_equal(diags.n_errors, 2);
}

static void diag__the_first_twenty_errors_by_place_are_kept(void **state)
{
    (void)state;
    start("0123456789012345678901234567890123456789");
    for (uint32_t i = 30; i > 0; i--) {
        say(1001, i, 1);
    }
    assert_int_equal(diags.n_errors, EFX_DIAG_ERRORS_MAX);
    uint32_t n = 0;
    for (const struct efx_diag *d = diags.errors; d != NULL; d = d->next) {
        assert_int_equal(d->at.off, ++n);
    }
    assert_int_equal(n, EFX_DIAG_ERRORS_MAX);
    assert_null(say(1001, 31, 1));
}

static void diag__json_is_escaped(void **state)
{
    (void)state;
    start("a\nb c");
    assert_string_equal(efx_diag_json(&diags, diags.errors), "[]");
    (void)efx_diag_add(&diags, 1203, (struct efx_span){4, 1}, "h\\", "say \"%s\" \x01\xFFé",
                       "x\ty");
    (void)efx_diag_add(&diags, 1001, (struct efx_span){0, 1}, NULL, "first");
    assert_string_equal(efx_diag_json(&diags, diags.errors),
                        "[{\"code\":\"EFX-1001\",\"line\":1,\"column\":1,\"message\":\"first\"},"
                        "{\"code\":\"EFX-1203\",\"line\":2,\"column\":3,"
                        "\"message\":\"say \\\"x\\u0009y\\\" \\u0001\\ufffdé\","
                        "\"hint\":\"h\\\\\"}]");
}

static void diag__nearest_names_what_is_near(void **state)
{
    (void)state;
    static const char *const names[] = {"price", "sym", "qty", "a"};
    start("");
    assert_string_equal(efx_diag_nearest(&diags, efx_str_of("prise"), names, 4),
                        "did you mean 'price'?");
    assert_string_equal(efx_diag_nearest(&diags, efx_str_of("SYM"), names, 4),
                        "did you mean 'sym'?");
    assert_null(efx_diag_nearest(&diags, efx_str_of("b"), names, 4));
    assert_null(efx_diag_nearest(&diags, efx_str_of("volume"), names, 4));
    assert_null(efx_diag_nearest(&diags, efx_str_of("x"), NULL, 0));
}

static void diag__without_memory_the_error_still_counts(void **state)
{
    (void)state;
    struct efx_arena none;
    efx_arena_init(&none, &efx_mem_libc, 0);
    efx_diags_init(&diags, &none, efx_str_of("x"), "app.sql");
    assert_null(say(1001, 0, 1));
    assert_int_equal(diags.n_errors, 1);
    assert_null(diags.errors);
    assert_string_equal(efx_diag_json(&diags, diags.errors), "");
    efx_arena_fini(&none);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_arena, close_arena)
    const struct CMUnitTest tests[] = {
        TEST(diag__text_is_the_form_of_the_reference),
        TEST(diag__warning_without_hint_has_four_lines),
        TEST(diag__carets_align_behind_tabs_and_wide_characters),
        TEST(diag__a_span_of_many_lines_is_marked_to_the_end_of_the_first),
        TEST(diag__the_end_of_the_text_is_a_place),
        TEST(diag__of_a_very_long_line_the_part_around_the_place_is_shown),
        TEST(diag__errors_are_in_order_of_place),
        TEST(diag__the_same_code_at_the_same_place_is_kept_once),
        TEST(diag__the_first_twenty_errors_by_place_are_kept),
        TEST(diag__json_is_escaped),
        TEST(diag__nearest_names_what_is_near),
        TEST(diag__without_memory_the_error_still_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
