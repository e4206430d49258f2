/* Pairs (efx_agg.h) against the same rows as single ops: every aggregate, a window that fills and
 * is then full, one entry and several, with NULLs and without. */
#include "agg_test.h"
#include "efx_test.h"

enum { ROWS = 700, LENGTH = 300 };

static union {
    int64_t l[ROWS];
    double d[ROWS];
    int32_t i[ROWS];
    float f[ROWS];
    uint8_t b[ROWS];
    struct efx_cell s[ROWS];
} value;
static uint64_t there[ROWS / 64 + 1];
static const char *const texts[] = {"a", "bb", "a text of more than twelve bytes", ""};

static void values_make(enum efx_type type, uint64_t *rng)
{
    for (uint32_t i = 0; i < ROWS; i++) {
        uint64_t r = efx_test_rand(rng);
        int64_t small = (int64_t)(r % 1000) - 500;
        efx_bit_put(there, i, r % 7 != 0);
        switch (type) {
        case EFX_TYPE_INT: value.i[i] = (int32_t)small; break;
        case EFX_TYPE_LONG: value.l[i] = small; break;
        case EFX_TYPE_FLOAT: value.f[i] = (float)small; break;
        case EFX_TYPE_DOUBLE: value.d[i] = (double)small; break;
        case EFX_TYPE_BOOL: value.b[i] = small > 0; break;
        case EFX_TYPE_STRING:
        case EFX_TYPE_BYTES:
        case EFX_TYPE_OBJECT:
            value.s[i] = efx_cell_make(texts[r % 4], (uint32_t)strlen(texts[r % 4]));
            break;
        case EFX_TYPE_NONE: break;
        }
    }
}

struct made { /* values of the rows that entered */
    _Alignas(64) uint8_t data[2 * ROWS * 16];
    uint64_t valid[2 * ROWS / 64 + 1], failed[2 * ROWS / 64 + 1];
    uint16_t code[2 * ROWS];
};
static struct made by_op, by_pair;

/* LENGTH is a multiple of 3: a row and the one it takes out are of the same entry. */
static uint32_t entry_of(uint32_t row, bool several)
{
    return several ? row % 3 : 0;
}

/* Rows first .. until - 1 enter; from LENGTH on each takes the one LENGTH before it out. */
static void run(const struct efx_agg_vt *vt, struct states *s, uint32_t first, uint32_t until,
                bool several, bool nulls, bool pairs, struct made *to)
{
    uint32_t id[2 * ROWS], row[2 * ROWS], n = 0;
    uint64_t leaves[2 * ROWS / 64 + 1] = {0};
    uint32_t gone = first < LENGTH ? 0 : first - LENGTH;
    uint32_t width = efx_type_width(vt->in);
    struct efx_col arg = {vt->in, &value, nulls ? there : NULL};
    static uint64_t left_there[ROWS / 64 + 1];
    for (uint32_t i = 0; gone + i < ROWS; i++) {
        efx_bit_put(left_there, i, efx_bit(there, gone + i));
    }
    struct efx_col left = {vt->in, (const uint8_t *)&value + (size_t)gone * width,
                           nulls ? left_there : NULL};
    for (uint32_t r = first; r < until; r++) {
        bool full = r >= LENGTH;
        if (full) {
            efx_bit_put(leaves, n, true);
        }
        if (full && !pairs) {
            id[n] = entry_of(r, several);
            row[n++] = r - LENGTH - gone;
        }
        id[n] = entry_of(r, several);
        row[n++] = r;
    }
    memset(to, 0, sizeof *to);
    bool none = vt->in == EFX_TYPE_NONE;
    struct efx_agg_in in = {.n = n,
                            .id = id,
                            .row = row,
                            .arg = none ? NULL : &arg,
                            .left = none ? NULL : &left,
                            .leaves = leaves,
                            .pairs = pairs,
                            .quiet = several};
    struct efx_agg_out out = {
        .data = to->data, .valid = to->valid, .fails = {to->failed, to->code, false}};
    assert_int_equal(vt->run(&s->at, &in, &out), EFX_OK);
}

static void same_values(const struct efx_agg_vt *vt, uint32_t first, uint32_t until)
{
    uint32_t width = efx_type_width(vt->out), k = 0;
    for (uint32_t r = first; r < until; r++, k++) {
        k += r >= LENGTH;
        uint32_t p = r - first;
        assert_int_equal(efx_bit(by_op.valid, k), efx_bit(by_pair.valid, p));
        if (!efx_bit(by_op.valid, k)) {
            continue;
        }
        if (efx_type_is_cell(vt->out)) {
            assert_true(efx_cell_equal((struct efx_cell *)(void *)by_op.data + k,
                                       (struct efx_cell *)(void *)by_pair.data + p));
        } else {
            assert_memory_equal(by_op.data + (size_t)k * width, by_pair.data + (size_t)p * width,
                                width);
        }
    }
}

static void check(const struct efx_agg_vt *vt, bool several, bool nulls, uint64_t seed)
{
    struct efx_ctx ctx;
    struct efx_heap *heap[2];
    static struct states s[2];
    efx_ctx_init(&ctx, &efx_mem_libc);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(efx_heap_create(&efx_mem_libc, &heap[i]), EFX_OK);
        states_init(&s[i], vt, heap[i], &ctx);
    }
    values_make(vt->in, &seed);
    for (uint32_t first = 0, until; first < ROWS; first = until) {
        until = first + 1 + (uint32_t)(efx_test_rand(&seed) % 290);
        until = until < ROWS ? until : ROWS;
        run(vt, &s[0], first, until, several, nulls, false, &by_op);
        run(vt, &s[1], first, until, several, nulls, true, &by_pair);
        same_values(vt, first, until);
    }
    for (uint32_t i = 0; i < 2; i++) {
        states_fini(&s[i], vt);
        efx_heap_destroy(&heap[i]);
    }
    efx_ctx_fini(&ctx);
}

static void pairs__are_a_row_out_and_a_row_in(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < efx_n_aggs; i++) {
        for (uint32_t how = 0; how < 8 && efx_aggs[i]->pairs; how++) {
            check(efx_aggs[i], (how & 1) != 0, (how & 2) != 0, 17 + how);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs__are_a_row_out_and_a_row_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
