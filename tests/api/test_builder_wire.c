/* Builders as bytes and one behind the other: random turns of several streams survive both; every
 * truncation is noticed, and so is a flipped bit or it changes what is read. */
#include "efx_test.h"

#include "efx_builder_wire.h"

#include <stdio.h>

enum { STREAMS = 3, TURNS_MAX = 200 };

static const struct efx_schema_col cols_a[] = {{.name = "a", .type = EFX_TYPE_INT},
                                               {.name = "s", .type = EFX_TYPE_STRING}};
static const struct efx_schema_col cols_b[] = {{.name = "d", .type = EFX_TYPE_DOUBLE},
                                               {.name = "b", .type = EFX_TYPE_BOOL},
                                               {.name = "l", .type = EFX_TYPE_LONG}};
static const struct efx_schema schema_a = {"A", 2, cols_a}, schema_b = {"B", 3, cols_b};
static const struct efx_schema *const schemas[STREAMS] = {&schema_a, NULL, &schema_b};

static struct efx_builder *builder(struct efx_arena *keep)
{
    struct efx_builder *b;
    assert_int_equal(efx_builder_create(keep, &efx_mem_libc, schemas, STREAMS, TURNS_MAX, &b),
                     EFX_OK);
    return b;
}

static void fill_row(struct efx_builder *b, uint16_t stream, uint64_t *seed)
{
    struct efx_colset *s;
    assert_int_equal(efx_builder_begin(b, stream, (int64_t)(efx_test_rand(seed) % 1000), &s),
                     EFX_OK);
    for (uint32_t c = 0; c < s->n_cols; c++) {
        uint64_t v = efx_test_rand(seed);
        char text[64];
        if (v % 4 == 0) {
            continue; /* NULL */
        }
        switch (schemas[stream]->cols[c].type) {
        case EFX_TYPE_INT: ((int32_t *)s->data[c])[s->n_rows] = (int32_t)v; break;
        case EFX_TYPE_LONG: ((int64_t *)s->data[c])[s->n_rows] = (int64_t)v; break;
        case EFX_TYPE_DOUBLE: ((double *)s->data[c])[s->n_rows] = (double)v / 3; break;
        case EFX_TYPE_BOOL: ((uint8_t *)s->data[c])[s->n_rows] = v % 8 > 3; break;
        case EFX_TYPE_STRING:
            (void)snprintf(text, sizeof text, "%.*s", (int)(v % 40),
                           "a text that may be longer than a cell holds");
            assert_int_equal(efx_builder_text(b, s, c, text, (uint32_t)strlen(text)), EFX_OK);
            break;
        case EFX_TYPE_NONE:
        case EFX_TYPE_FLOAT:
        case EFX_TYPE_BYTES:
        case EFX_TYPE_OBJECT: fail();
        }
        efx_builder_valid(s, c);
    }
    efx_builder_end(b, s);
}

static void fill(struct efx_builder *b, uint32_t n, uint64_t *seed)
{
    for (uint32_t i = 0; i < n; i++) {
        switch (efx_test_rand(seed) % 8) {
        case 0: assert_int_equal(efx_builder_advance(b, (int64_t)i), EFX_OK); break;
        case 1:
            assert_int_equal(efx_builder_reject(b, 0, 3001, i, "what {it} was", 13), EFX_OK);
            break;
        case 2:
        case 3:
        case 4: fill_row(b, 0, seed); break;
        default: fill_row(b, 2, seed); break;
        }
    }
}

/* What a builder says, turn by turn. */
static void tell(const struct efx_builder *b, uint32_t from, struct efx_buf *out)
{
    char text[256];
    for (uint32_t t = from; t < b->n_turns; t++) {
        struct efx_turn turn = b->turns[t];
        int n = 0;
        if (turn.stream == EFX_TURN_CLOCK) {
            n = snprintf(text, sizeof text, "+%lld\n", (long long)b->clock_ms[turn.row]);
        } else if (turn.stream == EFX_TURN_REJECT) {
            const struct efx_reject *j = &b->rejects[turn.row];
            n = snprintf(text, sizeof text, "!%u %u %u %.*s\n", j->stream, j->code, j->line,
                         (int)j->original.len, (const char *)efx_cell_bytes(&j->original));
        } else {
            const struct efx_colset *s = b->set[turn.stream];
            n = snprintf(text, sizeof text, "%u @%lld", turn.stream, (long long)s->ts_ms[turn.row]);
            for (uint32_t c = 0; c < s->n_cols; c++) {
                enum efx_type type = schemas[turn.stream]->cols[c].type;
                const uint8_t *at =
                    (const uint8_t *)s->data[c] + turn.row * (size_t)efx_type_width(type);
                const struct efx_cell *cell = (const void *)at;
                bool is_cell = efx_type_is_cell(type);
                n += snprintf(text + n, sizeof text - (size_t)n, " ");
                if (!efx_bit(s->valid[c], turn.row)) {
                    n += snprintf(text + n, sizeof text - (size_t)n, "NULL");
                    continue;
                }
                const uint8_t *bytes = is_cell ? efx_cell_bytes(cell) : at;
                for (uint32_t i = 0; i < (is_cell ? cell->len : efx_type_width(type)); i++) {
                    n += snprintf(text + n, sizeof text - (size_t)n, "%02x", bytes[i]);
                }
            }
            n += snprintf(text + n, sizeof text - (size_t)n, "\n");
        }
        efx_buf_put(out, text, (size_t)n);
    }
}

static void assert_same(const struct efx_builder *a, uint32_t from, const struct efx_builder *b)
{
    struct efx_buf x, y;
    efx_buf_init(&x, &efx_mem_libc);
    efx_buf_init(&y, &efx_mem_libc);
    tell(a, from, &x);
    tell(b, 0, &y);
    assert_int_equal(x.n, y.n);
    assert_memory_equal(x.p, y.p, x.n);
    efx_buf_fini(&x);
    efx_buf_fini(&y);
}

static void builder_wire__gives_back_what_was_put(void **state)
{
    (void)state;
    struct efx_arena keep;
    efx_arena_init(&keep, &efx_mem_libc, SIZE_MAX);
    struct efx_builder *a = builder(&keep), *b = builder(&keep);
    struct efx_buf bytes;
    efx_buf_init(&bytes, &efx_mem_libc);
    for (uint64_t seed = 1; seed <= 300; seed++) {
        uint64_t s = seed;
        uint32_t n = 1 + (uint32_t)(efx_test_rand(&s) % TURNS_MAX);
        fill(a, n, &s);
        uint32_t from = seed % 3 == 0 ? (uint32_t)(efx_test_rand(&s) % n) : 0;
        efx_buf_clear(&bytes);
        efx_builder_put(&bytes, a, from);
        struct efx_reader r = {bytes.p, bytes.n, false};
        assert_int_equal(efx_builder_get(&r, b), EFX_OK);
        assert_int_equal(r.left, 0);
        assert_same(a, from, b);
        efx_builder_clear(a);
        efx_builder_clear(b);
    }
    efx_buf_fini(&bytes);
    efx_builder_close(a);
    efx_builder_close(b);
    efx_arena_fini(&keep);
}

static void builder_wire__refuses_what_is_cut_and_survives_what_is_flipped(void **state)
{
    (void)state;
    struct efx_arena keep;
    efx_arena_init(&keep, &efx_mem_libc, SIZE_MAX);
    struct efx_builder *a = builder(&keep), *b = builder(&keep);
    struct efx_buf bytes;
    uint64_t s = 7;
    efx_buf_init(&bytes, &efx_mem_libc);
    fill(a, 40, &s);
    efx_builder_put(&bytes, a, 0);
    for (size_t n = 0; n < bytes.n; n++) {
        struct efx_reader r = {bytes.p, n, false};
        assert_int_equal(efx_builder_get(&r, b), EFX_EPARSE);
        efx_builder_clear(b);
    }
    for (size_t bit = 0; bit < bytes.n * 8; bit++) {
        bytes.p[bit / 8] = (uint8_t)(bytes.p[bit / 8] ^ 1u << bit % 8);
        struct efx_reader r = {bytes.p, bytes.n, false};
        enum efx_rc rc = efx_builder_get(&r, b);
        assert_true(rc == EFX_OK || rc == EFX_EPARSE);
        efx_builder_clear(b);
        bytes.p[bit / 8] = (uint8_t)(bytes.p[bit / 8] ^ 1u << bit % 8);
    }
    efx_buf_fini(&bytes);
    efx_builder_close(a);
    efx_builder_close(b);
    efx_arena_fini(&keep);
}

static void builder_append__keeps_order_and_says_when_it_is_full(void **state)
{
    (void)state;
    struct efx_arena keep;
    efx_arena_init(&keep, &efx_mem_libc, SIZE_MAX);
    struct efx_builder *a = builder(&keep), *b = builder(&keep);
    for (uint64_t seed = 1; seed <= 200; seed++) {
        uint64_t s = seed;
        uint32_t n = 1 + (uint32_t)(efx_test_rand(&s) % TURNS_MAX);
        fill(a, n, &s);
        for (uint32_t t = 0; t < n;) {
            uint32_t k = 1 + (uint32_t)(efx_test_rand(&s) % 20);
            k = k > n - t ? n - t : k;
            assert_int_equal(efx_builder_append(b, a, t, t + k), EFX_OK);
            t += k;
        }
        assert_same(a, 0, b);
        assert_int_equal(efx_builder_append(b, a, 0, n), n * 2 > TURNS_MAX ? EFX_AGAIN : EFX_OK);
        efx_builder_clear(a);
        efx_builder_clear(b);
    }
    efx_builder_close(a);
    efx_builder_close(b);
    efx_arena_fini(&keep);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(builder_wire__gives_back_what_was_put),
        cmocka_unit_test(builder_wire__refuses_what_is_cut_and_survives_what_is_flipped),
        cmocka_unit_test(builder_append__keeps_order_and_says_when_it_is_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
