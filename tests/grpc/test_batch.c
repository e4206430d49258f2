/* Batches out and in again; what a message must not say; what texts are. */
#include "efx_test.h"

#include "batch_in.h"
#include "batch_out.h"
#include "text_check.h"

enum { ROWS = 300, STREAM = 1 };

static const struct efx_schema_col cols[] = {
    {"k", EFX_TYPE_STRING, false, false}, {"d", EFX_TYPE_DOUBLE, false, false},
    {"i", EFX_TYPE_INT, false, false},    {"l", EFX_TYPE_LONG, false, false},
    {"b", EFX_TYPE_BOOL, false, false},   {"f", EFX_TYPE_FLOAT, false, false},
    {"y", EFX_TYPE_BYTES, false, false},  {"o", EFX_TYPE_OBJECT, false, false},
};
enum { COLS = sizeof cols / sizeof *cols };
static const struct efx_schema schema = {"S", COLS, cols};
static const struct efx_schema *const schemas[] = {NULL, &schema};

static uint64_t seed = 7;

struct made { /* a batch of random rows */
    struct efx_batch b;
    struct efx_col cols[COLS];
    int64_t ts_ms[ROWS];
    uint64_t data[COLS][ROWS * 2];
    uint64_t valid[COLS][EFX_BATCH_WORDS];
};

static void make_cell(struct efx_cell *cell, enum efx_type type)
{
    static const char text[] = "\"the quick brown fox jumps over the lazy dog, äöü, again and on\"";
    uint32_t n = (uint32_t)(efx_test_rand(&seed) % 40);
    if (type == EFX_TYPE_OBJECT) {
        *cell = efx_cell_make(text, sizeof text - 1);
    } else {
        *cell = efx_cell_make(text, n);
    }
}

static void make(struct made *m, bool nulls)
{
    memset(m, 0, sizeof *m);
    for (uint32_t c = 0; c < COLS; c++) {
        uint8_t *data = (uint8_t *)m->data[c];
        uint32_t width = efx_type_width(cols[c].type);
        for (uint32_t i = 0; i < ROWS; i++) {
            uint64_t r = efx_test_rand(&seed);
            efx_bit_put(m->valid[c], i, !nulls || r % 3 != 0);
            r = cols[c].type == EFX_TYPE_BOOL ? r & 1 : r;
            if (cols[c].type == EFX_TYPE_FLOAT) { /* signalling NaNs are not floats that travel */
                r = (r & 0x7F800000) == 0x7F800000 ? r | 0x00400000 : r;
            }
            if (efx_type_is_cell(cols[c].type)) {
                make_cell((struct efx_cell *)data + i, cols[c].type);
            } else {
                memcpy(data + (size_t)i * width, &r, width);
            }
        }
        m->cols[c] = (struct efx_col){cols[c].type, data, nulls ? m->valid[c] : NULL};
    }
    for (uint32_t i = 0; i < ROWS; i++) {
        m->ts_ms[i] = (int64_t)(efx_test_rand(&seed) >> 20);
    }
    m->b = (struct efx_batch){.n_rows = ROWS, .n_cols = COLS, .cols = m->cols, .ts_ms = m->ts_ms};
}

/* The batch as a SubmitRequest. */
static uint8_t *request_of(const struct made *m, bool as_rows, const uint32_t *at, uint32_t n,
                           size_t *size)
{
    struct batch_out *o = test_malloc(sizeof *o);
    memset(o, 0, sizeof *o);
    o->b = &m->b;
    o->schema = &schema;
    o->as_rows = as_rows;
    o->at = at;
    o->n = n;
    size_t inner = batch_out_size(o);
    uint8_t *bytes = test_malloc(inner + 16), *p = wire_put_head(bytes, 3, inner), *end;
    end = batch_out_put(o, p);
    assert_int_equal(end - p, inner);
    *size = (size_t)(end - bytes);
    test_free(o);
    return bytes;
}

static uint32_t cut(const uint8_t *bytes, size_t n, size_t step, struct efx_bytes *pieces)
{
    uint32_t k = 0;
    for (size_t at = 0; at < n; at += step) {
        pieces[k++] = (struct efx_bytes){bytes + at, n - at < step ? n - at : step};
    }
    return k;
}

static void assert_row(const struct made *m, uint32_t from, const struct efx_colset *s, uint32_t to)
{
    assert_int_equal(s->ts_ms[to], m->ts_ms[from]);
    for (uint32_t c = 0; c < COLS; c++) {
        bool there = efx_bit(m->cols[c].valid, from);
        assert_int_equal(efx_bit(s->valid[c], to), there);
        if (!there) {
            continue;
        }
        if (efx_type_is_cell(cols[c].type)) {
            assert_true(efx_cell_equal((const struct efx_cell *)s->data[c] + to,
                                       (const struct efx_cell *)m->cols[c].data + from));
        } else {
            uint32_t width = efx_type_width(cols[c].type);
            assert_memory_equal((const uint8_t *)s->data[c] + (size_t)to * width,
                                (const uint8_t *)m->cols[c].data + (size_t)from * width, width);
        }
    }
}

struct way { /* a batch takes */
    bool as_rows;
    size_t piece_bytes;
    uint32_t turns_max;
};

static void there_and_back(const struct made *m, const uint32_t *at, uint32_t n,
                           const struct way *way)
{
    struct efx_arena keep;
    struct efx_builder *b;
    struct batch_in in;
    struct efx_err err = {0};
    size_t size;
    uint8_t *bytes = request_of(m, way->as_rows, at, n, &size);
    struct efx_bytes *pieces = test_malloc((size / way->piece_bytes + 1) * sizeof *pieces);
    uint32_t k = cut(bytes, size, way->piece_bytes, pieces), done = 0;
    efx_arena_init(&keep, &efx_mem_libc, SIZE_MAX);
    assert_int_equal(efx_builder_create(&keep, &efx_mem_libc, schemas, 2, way->turns_max, &b),
                     EFX_OK);
    assert_int_equal(batch_in_open(&in, schemas, 2, pieces, k, &err), EFX_OK);
    assert_int_equal(in.n_rows, n);
    for (enum efx_rc rc = EFX_AGAIN; rc == EFX_AGAIN;) {
        efx_builder_clear(b);
        rc = batch_in_fill(&in, b);
        assert_true(rc == EFX_OK || rc == EFX_AGAIN);
        assert_int_equal(b->n_rejects, 0);
        for (uint32_t i = 0; i < b->n_turns; i++) {
            assert_int_equal(b->turns[i].stream, STREAM);
            assert_row(m, at[done++], b->set[STREAM], b->turns[i].row);
        }
    }
    assert_int_equal(done, n);
    batch_in_close(&in);
    efx_builder_close(b);
    efx_arena_fini(&keep);
    test_free(pieces);
    test_free(bytes);
}

static void what_goes_out_comes_in_again(void **state)
{
    static const struct way ways[] = {
        {false, SIZE_MAX / 2, 4096},
        {true, SIZE_MAX / 2, 4096},
        {false, 1, 4096},
        {true, 1, 7},
        {false, 13, 64},
        {true, 13, 1},
        {false, 700, 63},
    };
    struct made *m = test_malloc(sizeof *m);
    uint32_t at[ROWS];
    (void)state;
    for (int nulls = 0; nulls < 2; nulls++) {
        make(m, nulls != 0);
        for (uint32_t w = 0; w < sizeof ways / sizeof *ways; w++) {
            uint32_t all = 0, some = 0;
            for (uint32_t i = 0; i < ROWS; i++) {
                at[all++] = i;
            }
            there_and_back(m, at, all, &ways[w]);
            for (uint32_t i = 0; i < ROWS; i++) {
                if (efx_test_rand(&seed) % 2 == 0) {
                    at[some++] = i;
                }
            }
            there_and_back(m, at, some, &ways[w]);
        }
    }
    test_free(m);
}

static void a_cut_keeps_messages_small_and_takes_a_row_at_least(void **state)
{
    struct made *m = test_malloc(sizeof *m);
    uint32_t at[ROWS];
    (void)state;
    make(m, false);
    for (uint32_t i = 0; i < ROWS; i++) {
        at[i] = i;
    }
    assert_int_equal(batch_out_cut(&m->b, &schema, at, ROWS, 1), 1);
    assert_int_equal(batch_out_cut(&m->b, &schema, at, ROWS, SIZE_MAX), ROWS);
    uint32_t k = batch_out_cut(&m->b, &schema, at, ROWS, 10000);
    assert_true(k > 1 && k < ROWS);
    size_t size;
    uint8_t *bytes = request_of(m, false, at, k, &size);
    assert_true(size <= 11000);
    test_free(bytes);
    test_free(m);
}

/* proto/README.md: the bytes of a column. */
static void the_published_bytes_are_these(void **state)
{
    static const uint8_t symbol[] = {0x0a, 0x06, 's',  'y',  'm',  'b',  'o', 'l', 0x10,
                                     0x06, 0x1a, 0x01, 0x02, 0x2a, 0x0c, 2,   0,   0,
                                     0,    2,    0,    0,    0,    5,    0,   0,   0,
                                     0x32, 0x05, 0x41, 0x42, 0x78, 0x79, 0x7a};
    static const struct efx_schema_col trade[] = {{"symbol", EFX_TYPE_STRING, false, false}};
    static const struct efx_schema trades = {"Trades", 1, trade};
    struct efx_cell cells[3] = {efx_cell_make("AB", 2), efx_cell_make("", 0),
                                efx_cell_make("xyz", 3)};
    uint64_t valid = 5;
    int64_t ts_ms[3] = {0};
    uint32_t at[] = {0, 1, 2};
    struct efx_col col = {EFX_TYPE_STRING, cells, &valid};
    struct efx_batch b = {.n_rows = 3, .n_cols = 1, .cols = &col, .ts_ms = ts_ms};
    static struct batch_out o;
    uint8_t bytes[256];
    (void)state;
    o = (struct batch_out){.b = &b, .schema = &trades, .at = at, .n = 3};
    size_t n = batch_out_size(&o);
    assert_true(n < sizeof bytes);
    assert_ptr_equal(batch_out_put(&o, bytes), bytes + n);
    assert_memory_equal(bytes + n - sizeof symbol, symbol, sizeof symbol);
}

static void texts_are_utf8(void **state)
{
    static const char *const good[] = {"",
                                       "abcdefgh",
                                       "ä",
                                       "\xe2\x82\xac",
                                       "\xf0\x9f\x98\x80",
                                       "abcdefghijkä",
                                       "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",
                                      "\xc3",
                                      "\xc0\x80",
                                      "\xe0\x80\x80",
                                      "\xed\xa0\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xf0\x80\x80\x80",
                                      "abcdefghijk\xc3(",
                                      "\xf4\x90\x80\x80"};
    (void)state;
    for (uint32_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(text_is_utf8((const uint8_t *)good[i], strlen(good[i])));
    }
    for (uint32_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(text_is_utf8((const uint8_t *)bad[i], strlen(bad[i])));
    }
}

static void objects_are_json(void **state)
{
    static const char *const good[] = {
        "null",       " true ",           "-0.5e+10",
        "0",          "\"a\\u00e9\\n\"",  "[]",
        "{}",         "[1,[2,{}],\"x\"]", "{\"a\":{\"b\":[null]},\"c\":1}",
        " [ 1 , 2 ] "};
    static const char *const bad[] = {
        "",     "nul",      "01",    "1.",    "-",         "+1",   "\"",       "\"\\x\"",
        "[1,]", "{\"a\"}",  "{a:1}", "[1 2]", "{\"a\":}",  "1 2",  "[",        "}",
        "[}",   "\"\x01\"", "1e",    "{,}",   "\"\\u12\"", "[1]]", "\"\xff\"", "{\"a\":1,}"};
    uint8_t deep[2 * TEXT_JSON_DEPTH_MAX + 2];
    (void)state;
    for (uint32_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(text_is_json((const uint8_t *)good[i], strlen(good[i])));
    }
    for (uint32_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(text_is_json((const uint8_t *)bad[i], strlen(bad[i])));
    }
    memset(deep, '[', TEXT_JSON_DEPTH_MAX + 1);
    memset(deep + TEXT_JSON_DEPTH_MAX + 1, ']', TEXT_JSON_DEPTH_MAX + 1);
    assert_false(text_is_json(deep, sizeof deep));
    assert_true(text_is_json(deep + 1, sizeof deep - 2));
}

static void a_message_that_is_cut_off_is_malformed(void **state)
{
    struct made *m = test_malloc(sizeof *m);
    uint32_t at[] = {0, 1, 2};
    size_t size;
    (void)state;
    make(m, true);
    for (int as_rows = 0; as_rows < 2; as_rows++) {
        uint8_t *bytes = request_of(m, as_rows != 0, at, 3, &size);
        for (size_t n = 1; n < size; n++) {
            struct batch_in in;
            struct efx_err err;
            struct efx_bytes piece = {bytes, n};
            assert_int_equal(batch_in_open(&in, schemas, 2, &piece, 1, &err), EFX_EPARSE);
            batch_in_close(&in);
        }
        test_free(bytes);
    }
    test_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_out_comes_in_again),
        cmocka_unit_test(a_cut_keeps_messages_small_and_takes_a_row_at_least),
        cmocka_unit_test(the_published_bytes_are_these),
        cmocka_unit_test(texts_are_utf8),
        cmocka_unit_test(objects_are_json),
        cmocka_unit_test(a_message_that_is_cut_off_is_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
