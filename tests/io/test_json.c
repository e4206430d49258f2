/* Event lines and plain objects into columns: the fast way, the thorough way, and what is refused.
 */
#include "io_test.h"

static void a_line_of_the_expected_shape_fills_columns(void **state)
{
    struct io t;
    (void)state;
    assert_int_equal(io_open(&t, &efx_events_format_vt, NULL, NULL, 0), EFX_OK);
    assert_int_equal(
        io_code(&t, "{\"stream\":\"S\",\"ts\":17,\"data\":{\"i\":-5,\"l\":9007199254740993,"
                    "\"f\":0.1,\"d\":12.25,\"b\":true,\"s\":\"h\xC3\xA9llo, long enough\","
                    "\"y\":\"AAEC\",\"t\":\"2024-02-29T12:00:00.5Z\"}}\n"),
        0);
    assert_int_equal(t.b->set[0]->ts_ms[0], 17);
    assert_int_equal(IO_SLOT(&t, IO_I, 0, int32_t), -5);
    assert_int_equal(IO_SLOT(&t, IO_L, 0, int64_t), 9007199254740993);
    assert_true(IO_SLOT(&t, IO_F, 0, float) == 0.1f);
    assert_true(IO_SLOT(&t, IO_D, 0, double) == 12.25);
    assert_int_equal(IO_SLOT(&t, IO_B, 0, uint8_t), 1);
    io_text_is(&t, IO_S, 0, "h\xC3\xA9llo, long enough");
    assert_int_equal(IO_SLOT(&t, IO_Y, 0, struct efx_cell).len, 3);
    assert_memory_equal(efx_cell_bytes(&IO_SLOT(&t, IO_Y, 0, struct efx_cell)), "\0\1\2", 3);
    assert_true(io_null(&t, IO_O, 0));
    assert_int_equal(IO_SLOT(&t, IO_T, 0, int64_t), 1709208000500);
    io_close(&t);
}

static void any_order_and_white_space_give_the_same(void **state)
{
    struct io t;
    (void)state;
    assert_int_equal(io_open(&t, &efx_events_format_vt, NULL, NULL, 0), EFX_OK);
    assert_int_equal(
        io_decode(&t,
                  "{ \"data\" : { \"s\" : \"x\\n\\u00e9\\ud83d\\ude00\" , \"I\" : 1e1 } , "
                  "\"stream\":\"S\" }\r\n"
                  "{\"stream\": \"S\", \"ts\": 5, \"data\": [7, null, 1, 2]}",
                  NULL),
        EFX_OK);
    assert_int_equal(t.b->n_rejects, 0);
    assert_int_equal(t.b->set[0]->n_rows, 2);
    io_text_is(&t, IO_S, 0, "x\n\xC3\xA9\xF0\x9F\x98\x80");
    assert_int_equal(IO_SLOT(&t, IO_I, 0, int32_t), 10);
    assert_int_equal(t.b->set[0]->ts_ms[0], EFX_TS_NONE);
    assert_int_equal(IO_SLOT(&t, IO_I, 1, int32_t), 7);
    assert_true(io_null(&t, IO_L, 1));
    assert_true(IO_SLOT(&t, IO_F, 1, float) == 1);
    assert_true(io_null(&t, IO_S, 1));
    io_close(&t);
}

/* Digits are read eight at a time where so many are left: every length, a fraction behind it or
 * not, near the line's end and far from it. */
static void digits_of_any_number_are_read(void **state)
{
    (void)state;
    for (uint32_t n = 1; n <= 18; n++) {
        for (uint32_t k = 0; k < 4; k++) {
            struct io t;
            char line[160];
            int64_t l = 0;
            for (uint32_t i = 0; i < n; i++) {
                l = l * 10 + (k == 0 ? 9 : (i * 7 + k) % 9 + 1);
            }
            l = k == 2 ? -l : l;
            double d = (double)(l % 1000000) + 0.5;
            (void)snprintf(line, sizeof line, "{\"stream\":\"S\",\"data\":{\"l\":%lld%s}}\n",
                           (long long)l, k == 3 ? " " : "");
            assert_int_equal(io_open(&t, &efx_events_format_vt, NULL, NULL, 0), EFX_OK);
            assert_int_equal(io_code(&t, line), 0);
            assert_true(IO_SLOT(&t, IO_L, 0, int64_t) == l);
            io_close(&t);
            assert_int_equal(io_open(&t, &efx_events_format_vt, NULL, NULL, 0), EFX_OK);
            (void)snprintf(line, sizeof line,
                           "{\"stream\":\"S\",\"ts\":1700000000%03u,\"data\":{\"l\":%lld,"
                           "\"d\":%.6f}}\n",
                           n, (long long)l, d);
            assert_int_equal(io_code(&t, line), 0);
            assert_true(IO_SLOT(&t, IO_L, 0, int64_t) == l);
            assert_true(IO_SLOT(&t, IO_D, 0, double) == d);
            assert_true(t.b->set[0]->ts_ms[0] == 1700000000000 + n);
            io_close(&t);
        }
    }
}

static void nested_values_arrive_as_json_text(void **state)
{
    struct io t;
    (void)state;
    assert_int_equal(io_open(&t, &efx_json_format_vt, NULL, NULL, 0), EFX_OK);
    assert_int_equal(
        io_code(&t, "{\"s\":{\"a\":[1, \"]\"]},\"o\":[1,2],\"unknown\":{\"x\":[null]}}\n"), 0);
    io_text_is(&t, IO_S, 0, "{\"a\":[1, \"]\"]}");
    io_text_is(&t, IO_O, 0, "[1,2]");
    io_close(&t);
}

static void values_are_converted_as_cast_does(void **state)
{
    static const struct {
        const char *data;
        uint16_t code;
    } cases[] = {
        {"{\"i\":2147483647}", 0},
        {"{\"i\":2147483648}", 3002},
        {"{\"i\":3.0}", 0},
        {"{\"i\":3.5}", 3002},
        {"{\"i\":\" 12 \"}", 0},
        {"{\"i\":\"3.9\"}", 3002},
        {"{\"i\":true}", 0},
        {"{\"i\":{}}", 3002},
        {"{\"l\":9223372036854775808}", 3002},
        {"{\"l\":-9223372036854775808}", 0},
        {"{\"l\":1e300}", 3002},
        {"{\"d\":1e400}", 3002},
        {"{\"d\":123456789012345678901234567890}", 0},
        {"{\"d\":\"NaN\"}", 0},
        {"{\"d\":true}", 3002},
        {"{\"d\":\"abc\"}", 3002},
        {"{\"b\":0}", 0},
        {"{\"b\":1.0}", 3002},
        {"{\"b\":\"Yes\"}", 0},
        {"{\"b\":\"maybe\"}", 3002},
        {"{\"s\":1.50}", 0},
        {"{\"s\":false}", 0},
        {"{\"y\":\"AA=\"}", 0},
        {"{\"y\":\"A\"}", 3002},
        {"{\"y\":7}", 3002},
        {"{\"o\":1}", 3002},
        {"{\"t\":\"2023-02-29\"}", 3002},
        {"{\"t\":\"1970-01-02\"}", 0},
        {"{\"none\":1}", 3002},
        {"[1,2,3,4,true,\"s\",null,null,0,5]", 3002},
        {"{\"i\":null}", 0},
        {"{}", 0},
        {"7", 3001},
    };
    struct io t;
    char line[256];
    (void)state;
    assert_int_equal(io_open(&t, &efx_events_format_vt, NULL, NULL, 0), EFX_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        (void)snprintf(line, sizeof line, "{\"stream\":\"S\",\"ts\":1,\"data\":%s}\n",
                       cases[i].data);
        uint16_t code = io_code(&t, line);
        if (code != cases[i].code) {
            print_message("%s\n", cases[i].data);
        }
        assert_int_equal(code, cases[i].code);
    }
    io_close(&t);
}

static void what_is_no_json_is_unreadable(void **state)
{
    static const char *const lines[] = {
        "nonsense",
        "{",
        "{\"i\":1",
        "{\"i\":1}}",
        "{\"i\":01}",
        "{\"i\":1.}",
        "{\"i\":-}",
        "{\"i\":+1}",
        "{\"i\":.5}",
        "{\"i\":1,}",
        "{,}",
        "{\"i\" 1}",
        "{\"s\":\"a\tb\"}",
        "{\"s\":\"\\x\"}",
        "{\"s\":\"\xFF\"}",
        "{\"i\":tru}",
        "{\"i\":nulll}",
        "{\"i\":1} {\"i\":2}",
        "\"i\"",
        "12",
        "{\"none\":[1,}",
        "{\"none\":01}",
        "{\"none\":\"\\ud800x\"",
        "{\"s\":\"unterminated}",
    };
    struct io t;
    (void)state;
    assert_int_equal(io_open(&t, &efx_json_format_vt, NULL, NULL, 0), EFX_OK);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        uint16_t code = io_code(&t, lines[i]);
        if (code != 3001) {
            print_message("%s\n", lines[i]);
        }
        assert_int_equal(code, 3001);
    }
    io_close(&t);
}

static void rejects_know_their_line_and_stream(void **state)
{
    struct io t;
    (void)state;
    assert_int_equal(io_open(&t, &efx_events_format_vt, NULL, NULL, 0), EFX_OK);
    assert_int_equal(io_decode(&t,
                               "{\"stream\":\"S\",\"data\":{\"i\":1}}\n\n"
                               "{\"stream\":\"X\",\"data\":{}}\n"
                               "{\"advance\":1500}\n"
                               "{\"stream\":\"S\",\"data\":{\"i\":\"x\"}}\n"
                               "{\"stream\":\"S\",\"ts\":\"x\",\"data\":{}}\n"
                               "{\"advance\":-1}\n",
                               NULL),
                     EFX_OK);
    assert_int_equal(t.b->n_turns, 6);
    assert_int_equal(t.b->n_clocks, 1);
    assert_int_equal(t.b->clock_ms[0], 1500);
    assert_int_equal(t.b->n_rejects, 4);
    assert_int_equal(t.b->rejects[0].line, 3);
    assert_int_equal(t.b->rejects[0].stream, EFX_TURN_REJECT);
    assert_int_equal(t.b->rejects[0].code, 3001);
    assert_int_equal(t.b->rejects[1].line, 5);
    assert_int_equal(t.b->rejects[1].stream, 0);
    assert_int_equal(t.b->rejects[1].code, 3002);
    assert_int_equal(t.b->rejects[2].code, 3003);
    assert_int_equal(t.b->rejects[3].line, 7);
    io_close(&t);
}

static void a_full_builder_goes_on_inside_an_array(void **state)
{
    struct io t;
    char line[4096] = "[";
    (void)state;
    assert_int_equal(io_open(&t, &efx_json_format_vt, NULL, NULL, 0), EFX_OK);
    for (int i = 0; i < 100; i++) {
        (void)sprintf(line + strlen(line), "%s{\"i\":%d}", i > 0 ? "," : "", i);
    }
    strcat(line, "]\n{\"i\":100}\n");
    size_t n = strlen(line);
    uint8_t *bytes = calloc(1, n + EFX_CHUNK_PAD);
    assert_non_null(bytes);
    memcpy(bytes, line, n);
    struct efx_msg m = {.len = (uint32_t)n, .ts_ms = EFX_TS_NONE};
    struct efx_chunk c = {.bytes = bytes, .n_bytes = n, .msgs = &m, .n_msgs = 1, .stream = true};
    struct efx_decode d = {.chunk = &c};
    assert_int_equal(t.f->vt->decode(t.f, &d, t.b), EFX_AGAIN);
    assert_int_equal(t.b->n_turns, 64);
    efx_builder_clear(t.b);
    assert_int_equal(t.f->vt->decode(t.f, &d, t.b), EFX_OK);
    assert_int_equal(t.b->n_turns, 37);
    assert_int_equal(IO_SLOT(&t, IO_I, 0, int32_t), 64);
    assert_int_equal(IO_SLOT(&t, IO_I, 36, int32_t), 100);
    free(bytes);
    io_close(&t);
}

static void paths_lead_into_documents(void **state)
{
    struct json_conf { /* as in the option table: enclosing, 2 flags, date format, template, … */
        const char *enclosing;
        bool fail, ignore;
        const char *date, *template;
        bool pretty;
        const char *field;
    } conf = {
        .enclosing = "$.batch.events", .date = "dd.MM.yyyy HH:mm", .template = "", .field = ""};
    const struct efx_prop props[] = {{"json.mapping.i", {"$.a.b[1]", 8}},
                                     {"json.mapping.s", {"name", 4}}};
    struct io t;
    (void)state;
    assert_int_equal(io_open(&t, &efx_json_format_vt, &conf, props, 2), EFX_OK);
    assert_int_equal(io_decode(&t,
                               "{\"batch\":{\"events\":[{\"a\":{\"b\":[0,5]},\"name\":\"n\","
                               "\"t\":\"01.01.1970 00:01\"},{\"i\":9}]}}\n{\"batch\":1}\n",
                               NULL),
                     EFX_OK);
    assert_int_equal(t.b->set[0]->n_rows, 2);
    assert_int_equal(IO_SLOT(&t, IO_I, 0, int32_t), 5);
    io_text_is(&t, IO_S, 0, "n");
    assert_int_equal(IO_SLOT(&t, IO_T, 0, int64_t), 60000);
    assert_true(io_null(&t, IO_I, 1));
    assert_int_equal(t.b->n_rejects, 1);
    io_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_of_the_expected_shape_fills_columns),
        cmocka_unit_test(any_order_and_white_space_give_the_same),
        cmocka_unit_test(digits_of_any_number_are_read),
        cmocka_unit_test(nested_values_arrive_as_json_text),
        cmocka_unit_test(values_are_converted_as_cast_does),
        cmocka_unit_test(what_is_no_json_is_unreadable),
        cmocka_unit_test(rejects_know_their_line_and_stream),
        cmocka_unit_test(a_full_builder_goes_on_inside_an_array),
        cmocka_unit_test(paths_lead_into_documents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
