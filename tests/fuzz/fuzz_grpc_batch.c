/* SubmitRequests of any bytes: nothing crashes, and a message means the same however it is cut into
 * pieces and however many rows a builder has room for. */
#include "batch_in.h"

static const struct efx_schema_col cols[] = {
    {"k", EFX_TYPE_STRING, false, false}, {"d", EFX_TYPE_DOUBLE, false, false},
    {"i", EFX_TYPE_INT, true, false},     {"l", EFX_TYPE_LONG, false, false},
    {"b", EFX_TYPE_BOOL, false, false},   {"f", EFX_TYPE_FLOAT, false, false},
    {"y", EFX_TYPE_BYTES, false, false},  {"o", EFX_TYPE_OBJECT, false, false},
};
static const struct efx_schema all = {"S", 8, cols};
static const struct efx_schema few = {"T", 1, cols + 3};
static const struct efx_schema *const schemas[] = {&all, NULL, &few};
enum { N_SCHEMAS = 3, PIECES_MAX = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static uint64_t mix(uint64_t h, const void *p, size_t n)
{
    const uint8_t *b = p;
    for (size_t i = 0; i < n; i++) {
        h = (h ^ b[i]) * 0x100000001B3u;
    }
    return h;
}

static uint64_t row_hash(const struct efx_builder *b, struct efx_turn t, uint64_t h)
{
    const struct efx_colset *s = b->set[t.stream];
    h = mix(h, &s->ts_ms[t.row], sizeof(int64_t));
    for (uint32_t c = 0; c < s->n_cols; c++) {
        enum efx_type type = b->schemas[t.stream]->cols[c].type;
        uint32_t width = efx_type_width(type);
        if (!efx_bit(s->valid[c], t.row)) {
            h = mix(h, "N", 1);
        } else if (efx_type_is_cell(type)) {
            const struct efx_cell *cell = (const struct efx_cell *)s->data[c] + t.row;
            h = mix(mix(h, &cell->len, sizeof cell->len), efx_cell_bytes(cell), cell->len);
        } else {
            h = mix(h, (const uint8_t *)s->data[c] + (size_t)t.row * width, width);
        }
    }
    return h;
}

static uint64_t builder_hash(const struct efx_builder *b, uint64_t h)
{
    for (uint32_t i = 0; i < b->n_turns; i++) {
        struct efx_turn t = b->turns[i];
        h = mix(h, &t.stream, sizeof t.stream);
        if (t.stream == EFX_TURN_CLOCK) {
            h = mix(h, &b->clock_ms[t.row], sizeof(int64_t));
        } else if (t.stream == EFX_TURN_REJECT) {
            h = mix(h, &b->rejects[t.row].code, sizeof(uint16_t));
        } else {
            h = row_hash(b, t, h);
        }
    }
    return h;
}

/* What the message means, or that it means nothing (1). */
static uint64_t meaning(const struct efx_bytes *pieces, uint32_t n, uint32_t turns_max)
{
    struct batch_in in;
    struct efx_arena keep;
    struct efx_builder *b;
    struct efx_err err;
    uint64_t h = 1;
    efx_arena_init(&keep, &efx_mem_libc, SIZE_MAX);
    if (efx_builder_create(&keep, &efx_mem_libc, schemas, N_SCHEMAS, turns_max, &b) != EFX_OK) {
        efx_panic(__FILE__, __LINE__, "no memory");
    }
    if (batch_in_open(&in, schemas, N_SCHEMAS, pieces, n, &err) == EFX_OK && in.n_rows < 20000) {
        enum efx_rc rc;
        uint64_t turns = 0;
        h = mix(h, &in.n_rows, sizeof in.n_rows);
        do {
            efx_builder_clear(b);
            rc = batch_in_fill(&in, b);
            if (rc != EFX_OK && rc != EFX_AGAIN) {
                efx_panic(__FILE__, __LINE__, "fill failed");
            }
            turns += b->n_turns - b->n_clocks;
            h = builder_hash(b, h);
        } while (rc == EFX_AGAIN);
        if (turns != in.n_rows) {
            efx_panic(__FILE__, __LINE__, "a row was lost, or came twice");
        }
    }
    batch_in_close(&in);
    efx_builder_close(b);
    efx_arena_fini(&keep);
    return h;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct efx_bytes pieces[PIECES_MAX];
    if (n < 2) {
        return 0;
    }
    size_t step = data[0] % 31 + 1, at = 1;
    uint32_t n_pieces = 0;
    while (at < n && n_pieces + 1 < PIECES_MAX) {
        size_t k = n - at < step ? n - at : step;
        pieces[n_pieces++] = (struct efx_bytes){data + at, k};
        at += k;
    }
    pieces[n_pieces++] = (struct efx_bytes){data + at, n - at};
    struct efx_bytes whole = {data + 1, n - 1};
    uint64_t a = meaning(&whole, 1, 4096), b = meaning(pieces, n_pieces, data[0] % 7 + 1);
    if (a != b) {
        efx_panic(__FILE__, __LINE__, "pieces change what a message means");
    }
    return 0;
}
