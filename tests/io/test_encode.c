/* Rows as JSON; numbers as text and back. */
#include "io_test.h"

#include "efx_numbers.h"

#include <math.h>
#include <stdio.h>

static void texts_are(double d, const char *want)
{
    char buf[EFX_NUMBER_TEXT_MAX + 1];
    buf[efx_io_double_text(d, buf)] = '\0';
    assert_string_equal(buf, want);
}

static void doubles_have_their_one_text(void **state)
{
    (void)state;
    texts_are(0, "0.0");
    texts_are(-0.0, "-0.0");
    texts_are(1, "1.0");
    texts_are(0.1, "0.1");
    texts_are(0.29, "0.29");
    texts_are(101.25, "101.25");
    texts_are(-99.9, "-99.9");
    texts_are(0.0001, "0.0001");
    texts_are(0.00001, "1e-5");
    texts_are(1e15, "1000000000000000.0");
    texts_are(15e15, "1.5e16");
    texts_are(9999999999.99, "9999999999.99");
    texts_are(123456.7891, "123456.7891");
    texts_are(1.0 / 3, "0.3333333333333333");
    texts_are(5e-324, "5e-324");
    texts_are(1.7976931348623157e308, "1.7976931348623157e308");
    texts_are((double)NAN, "NaN");
    texts_are(-HUGE_VAL, "-Infinity");
}

static void numbers_read_back_the_same(void **state)
{
    uint64_t seed = 7;
    char buf[EFX_NUMBER_TEXT_MAX + 1];
    (void)state;
    for (int i = 0; i < 200000; i++) {
        uint64_t bits = efx_test_rand(&seed);
        double d, back = 0;
        memcpy(&d, &bits, sizeof d);
        d = i % 2 == 0 ? (double)(int64_t)(bits % 100000000) / 1000 : d;
        if (!isfinite(d)) {
            continue;
        }
        uint32_t n = efx_io_double_text(d, buf);
        buf[n] = '\0';
        assert_true(strtod(buf, NULL) == d);
        assert_true(efx_io_parse_double(buf, n, &back) && back == d);
        float f = (float)d, fback = 0;
        n = isfinite(f) ? efx_io_float_text(f, buf) : 0;
        buf[n] = '\0';
        assert_true(n == 0 || (efx_io_parse_float(buf, n, &fback) && fback == f));
    }
}

static void numbers_are_read_as_cast_reads_them(void **state)
{
    static const struct {
        const char *text;
        bool ok;
        double d;
    } cases[] = {{" 12 ", true, 12},
                 {"+.5", true, 0.5},
                 {"5.", true, 5},
                 {"1e3", true, 1000},
                 {"1e400", false, 0},
                 {"1e-400", true, 0},
                 {"0.0000e999", true, 0},
                 {"", false, 0},
                 {"e5", false, 0},
                 {"1e", false, 0},
                 {"0x10", false, 0},
                 {"1 2", false, 0},
                 {"Infinity", true, HUGE_VAL},
                 {"inf", false, 0},
                 {"-", false, 0}};
    int64_t l;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double d = 0;
        bool ok = efx_io_parse_double(cases[i].text, strlen(cases[i].text), &d);
        assert_int_equal(ok, cases[i].ok);
        assert_true(!ok || d == cases[i].d);
    }
    assert_true(efx_io_parse_long("-9223372036854775808", 20, &l) && l == INT64_MIN);
    assert_false(efx_io_parse_long("9223372036854775808", 19, &l));
    assert_false(efx_io_parse_long("1.0", 3, &l));
    assert_true(efx_io_parse_long(" +7\n", 4, &l) && l == 7);
}

/* One row of every type, as the format writes it. */
static void row_is(const struct efx_format_vt *vt, const void *conf, size_t room, const char *want)
{
    struct io t;
    int32_t i = -1;
    int64_t l = INT64_MIN, ts = 1000;
    float f = 0.1f;
    double d = (double)NAN;
    uint8_t b = 1, kind = EFX_ROW_EXPIRED;
    uint64_t none = 0;
    struct efx_cell s = efx_cell_make("q\"\\\n\x01\xC3\xA9 and more", 16),
                    y = efx_cell_make("\0\1\2\3", 4), o = efx_cell_make("[1,2]", 5);
    struct efx_col cols[IO_N] = {
        {EFX_TYPE_INT, &i, NULL},    {EFX_TYPE_LONG, &l, NULL},   {EFX_TYPE_FLOAT, &f, NULL},
        {EFX_TYPE_DOUBLE, &d, NULL}, {EFX_TYPE_BOOL, &b, NULL},   {EFX_TYPE_STRING, &s, NULL},
        {EFX_TYPE_BYTES, &y, NULL},  {EFX_TYPE_OBJECT, &o, NULL}, {EFX_TYPE_LONG, &l, &none}};
    struct efx_batch batch = {
        .n_rows = 1, .n_cols = IO_N, .cols = cols, .ts_ms = &ts, .kind = &kind};
    assert_int_equal(io_open(&t, vt, conf, NULL, 0), EFX_OK);
    uint8_t *out = malloc(room);
    assert_non_null(out);
    struct efx_writer w = {.p = out, .max = room};
    struct efx_encode e = {.rows = efx_rows_all(&batch), .w = &w};
    enum efx_rc rc = t.f->vt->encode(t.f, &e);
    if (want == NULL) {
        assert_int_equal(rc, EFX_AGAIN);
        assert_int_equal(w.n, 0);
        assert_int_equal(e.rows.from, 0);
    } else {
        assert_int_equal(rc, EFX_OK);
        assert_int_equal(w.n, strlen(want));
        assert_memory_equal(out, want, w.n);
    }
    free(out);
    io_close(&t);
}

static void rows_are_written_by_the_contract(void **state)
{
    (void)state;
    row_is(&efx_events_format_vt, NULL, 4096,
           "{\"stream\":\"S\",\"ts\":1000,\"kind\":\"expired\",\"data\":{\"i\":-1,\"l\":-"
           "9223372036854775808,"
           "\"f\":0.1,\"d\":null,\"b\":true,\"s\":\"q\\\"\\\\\\n\\u0001\xC3\xA9 and "
           "more\",\"y\":\"AAECAw==\","
           "\"o\":[1,2],\"t\":null}}\n");
    row_is(
        &efx_json_format_vt, NULL, 4096,
        "{\"i\":-1,\"l\":-9223372036854775808,\"f\":0.1,\"d\":null,\"b\":true,"
        "\"s\":\"q\\\"\\\\\\n\\u0001\xC3\xA9 and more\",\"y\":\"AAECAw==\",\"o\":[1,2],\"t\":null,"
        "\"_timestamp\":1000}\n");
    row_is(&efx_text_format_vt, NULL, 4096,
           "S 1000 expired i=-1 l=-9223372036854775808 f=0.1 d=null b=true "
           "s=\"q\\\"\\\\\\n\\u0001\xC3\xA9 and more\" y=\"AAECAw==\" o=[1,2] t=null\n");
}

static void a_row_without_room_leaves_no_byte(void **state)
{
    (void)state;
    row_is(&efx_events_format_vt, NULL, 64, NULL);
    row_is(&efx_csv_format_vt, NULL, 16, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(doubles_have_their_one_text),
        cmocka_unit_test(numbers_read_back_the_same),
        cmocka_unit_test(numbers_are_read_as_cast_reads_them),
        cmocka_unit_test(rows_are_written_by_the_contract),
        cmocka_unit_test(a_row_without_room_leaves_no_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
