/* CSV in and out. */
#include "io_test.h"

#include "csv.h"

static const struct csv_conf plain = {
    .delimiter = ",", .quote = "\"", .escape = "\"", .null = "", .header_names = ""};

static void fields_stand_in_the_order_of_columns(void **state)
{
    struct io t;
    (void)state;
    assert_int_equal(io_open(&t, &efx_csv_format_vt, &plain, NULL, 0), EFX_OK);
    assert_int_equal(
        io_decode(&t, "1,2,0.5,1e3,yes,\"a, \"\"b\"\"\nc\",AAEC\r\n,,,,,\"\"\n\n7", NULL), EFX_OK);
    assert_int_equal(t.b->n_rejects, 0);
    assert_int_equal(t.b->set[0]->n_rows, 3);
    assert_int_equal(IO_SLOT(&t, IO_I, 0, int32_t), 1);
    assert_true(IO_SLOT(&t, IO_D, 0, double) == 1000);
    assert_int_equal(IO_SLOT(&t, IO_B, 0, uint8_t), 1);
    io_text_is(&t, IO_S, 0, "a, \"b\"\nc");
    assert_true(io_null(&t, IO_I, 1));
    io_text_is(&t, IO_S, 1, "");
    assert_int_equal(IO_SLOT(&t, IO_I, 2, int32_t), 7);
    assert_true(io_null(&t, IO_S, 2));
    io_close(&t);
}

static void bad_records_are_rejected_with_their_line(void **state)
{
    struct io t;
    (void)state;
    assert_int_equal(io_open(&t, &efx_csv_format_vt, &plain, NULL, 0), EFX_OK);
    assert_int_equal(io_decode(&t, "1,\"x\ny\"z\nq\n1,2,3,4,true,s,,,0,too many\n5\nc\"d\n", NULL),
                     EFX_OK);
    assert_int_equal(t.b->n_rejects, 4);
    assert_int_equal(t.b->rejects[0].code, 3001);
    assert_int_equal(t.b->rejects[0].line, 1);
    assert_int_equal(t.b->rejects[1].code, 3002);
    assert_int_equal(t.b->rejects[1].line, 3);
    assert_int_equal(t.b->rejects[2].code, 3001);
    assert_int_equal(t.b->rejects[2].line, 4);
    assert_int_equal(t.b->rejects[3].line, 6);
    assert_int_equal(t.b->set[0]->n_rows, 1);
    io_close(&t);
}

static void a_header_says_where_columns_are(void **state)
{
    static struct csv_header h;
    struct csv_conf conf = plain;
    const struct efx_prop props[] = {{"csv.mapping.l", {"count", 5}}};
    struct io t;
    size_t used = 0;
    (void)state;
    conf.has_header = true;
    assert_int_equal(io_open(&t, &efx_csv_format_vt, &conf, props, 1), EFX_OK);
    const char *head = "\xEF\xBB\xBFother,\"S\",count,i\n";
    struct efx_bytes bytes = {(const uint8_t *)head, strlen(head) - 1};
    assert_int_equal(t.f->vt->prologue(t.f, bytes, &used, &h, &t.err), EFX_AGAIN);
    bytes.n++;
    assert_int_equal(t.f->vt->prologue(t.f, bytes, &used, &h, &t.err), EFX_OK);
    assert_int_equal(used, bytes.n);
    assert_int_equal(io_decode(&t, "x,text,3,4,more\n", &h), EFX_OK);
    assert_int_equal(t.b->n_rejects, 0);
    io_text_is(&t, IO_S, 0, "text");
    assert_int_equal(IO_SLOT(&t, IO_L, 0, int64_t), 3);
    assert_int_equal(IO_SLOT(&t, IO_I, 0, int32_t), 4);
    bytes = (struct efx_bytes){(const uint8_t *)"a,c\n", 4};
    assert_int_equal(t.f->vt->prologue(t.f, bytes, &used, &h, &t.err), EFX_EPARSE);
    io_close(&t);
}

static void a_chunk_is_cut_behind_whole_records(void **state)
{
    struct io t;
    (void)state;
    assert_int_equal(io_open(&t, &efx_csv_format_vt, &plain, NULL, 0), EFX_OK);
    static const struct {
        const char *text;
        size_t whole;
    } cases[] = {{"", 0},         {"1,2", 0},           {"1,2\n3", 4},
                 {"1,\"a\nb", 0}, {"1,\"a\nb\"\n2", 8}, {"a\"b\nc\"d\n", 8}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct efx_bytes bytes = {(const uint8_t *)cases[i].text, strlen(cases[i].text)};
        assert_int_equal(t.f->vt->cut(t.f, bytes), cases[i].whole);
    }
    io_close(&t);
}

static void what_is_written_is_read_back(void **state)
{
    static const char *const texts[] = {"plain", "a,b", "say \"x\"", "two\nlines", "", " blanks "};
    struct io t;
    uint8_t out[4096];
    (void)state;
    assert_int_equal(io_open(&t, &efx_csv_format_vt, &plain, NULL, 0), EFX_OK);
    struct efx_cell cells[6];
    int32_t ints[6] = {1, -2, 3, INT32_MIN, 0, 9};
    for (uint32_t i = 0; i < 6; i++) {
        cells[i] = efx_cell_make(texts[i], (uint32_t)strlen(texts[i]));
    }
    uint64_t none = 0;
    int64_t ts[6] = {0};
    double zeros[6] = {0};
    struct efx_col cols[IO_N];
    for (uint32_t c = 0; c < IO_N; c++) {
        cols[c] = (struct efx_col){io_cols[c].type, zeros, &none};
    }
    cols[IO_I] = (struct efx_col){EFX_TYPE_INT, ints, NULL};
    cols[IO_S] = (struct efx_col){EFX_TYPE_STRING, cells, NULL};
    struct efx_batch b = {.n_rows = 6, .n_cols = IO_N, .cols = cols, .ts_ms = ts};
    struct efx_writer w = {.p = out, .max = sizeof out};
    struct efx_encode e = {.rows = efx_rows_all(&b), .w = &w};
    assert_int_equal(t.f->vt->encode(t.f, &e), EFX_OK);
    assert_int_equal(e.n, 6);
    out[w.n] = '\0';
    assert_int_equal(io_decode(&t, (const char *)out, NULL), EFX_OK);
    assert_int_equal(t.b->n_rejects, 0);
    assert_int_equal(t.b->set[0]->n_rows, 6);
    for (uint32_t i = 0; i < 6; i++) {
        io_text_is(&t, IO_S, i, texts[i]);
        assert_int_equal(IO_SLOT(&t, IO_I, i, int32_t), ints[i]);
    }
    io_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_stand_in_the_order_of_columns),
        cmocka_unit_test(bad_records_are_rejected_with_their_line),
        cmocka_unit_test(a_header_says_where_columns_are),
        cmocka_unit_test(a_chunk_is_cut_behind_whole_records),
        cmocka_unit_test(what_is_written_is_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
