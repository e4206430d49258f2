/* The rows of an on-demand statement, kept until it is sure that none of them fails.
 *
 *   push ─► chunk 64 ─► chunk 128 ─► … 4,096      columns by value, long texts copied
 *             ▲
 *   DISTINCT  a hash of a row's values names the chunk and row that has them already
 *
 *   Order   as they came; of equal rows the first stays
 */
#include "demand.h"

#include "efx_hash.h"

enum { CHUNK_ROWS_MIN = 64, SEEN_MIN = 256 };

enum efx_rc efx_demand__data_error(struct demand *d, uint16_t code)
{
    return EFX_FAIL(&d->err, EFX_EDATA, EFX_KIND_DATA, code, "%s: the statement did nothing",
                    efx_errors_text(code));
}

enum efx_rc efx_demand__rows_init(struct demand *d, const struct efx_schema *schema, bool distinct,
                                  struct demand_rows *out)
{
    enum efx_type *types = EFX_NEW_N(&d->arena, enum efx_type, schema->n_cols + 1);
    if (types == NULL) {
        return EFX_ENOMEM;
    }
    for (uint32_t c = 0; c < schema->n_cols; c++) {
        types[c] = schema->cols[c].type;
    }
    *out = (struct demand_rows){.d = d,
                                .n_cols = schema->n_cols,
                                .types = types,
                                .chunk_rows = out->chunk_rows,
                                .distinct = distinct};
    return EFX_OK;
}

struct efx_batch efx_demand__batch(const struct demand *d, const struct efx_col *cols,
                                   uint32_t n_cols, uint32_t n_rows)
{
    return (struct efx_batch){.n_rows = n_rows,
                              .n_cols = n_cols,
                              .cols = cols,
                              .ts_ms = d->clock_ms,
                              .clk_ms = d->clock_ms};
}

/* ---- chunks ---- */

static enum efx_rc chunk_add(struct demand_rows *r)
{
    struct efx_arena *arena = &r->d->arena;
    struct demand_chunk *c = EFX_NEW(arena, struct demand_chunk);
    struct efx_col *cols = EFX_NEW_N(arena, struct efx_col, r->n_cols + 1);
    if (c == NULL || cols == NULL) {
        return EFX_ENOMEM;
    }
    uint32_t max = r->n < EFX_BATCH_ROWS_MAX ? (uint32_t)r->n : EFX_BATCH_ROWS_MAX;
    max = max < CHUNK_ROWS_MIN ? CHUNK_ROWS_MIN : max;
    max = r->chunk_rows > 0 ? r->chunk_rows : max;
    for (uint32_t k = 0; k < r->n_cols; k++) {
        cols[k].type = r->types[k];
        cols[k].data = efx_arena_alloc(arena, max, efx_type_width(r->types[k]), EFX_CACHE_LINE);
        cols[k].valid = EFX_NEW_N(arena, uint64_t, efx_words(max));
        if (cols[k].data == NULL || cols[k].valid == NULL) {
            return EFX_ENOMEM;
        }
    }
    *c = (struct demand_chunk){.n_max = max, .cols = cols};
    if (r->last != NULL) {
        r->last->next = c;
    } else {
        r->first = c;
    }
    r->last = c;
    return EFX_OK;
}

static enum efx_rc slot_put(struct demand_rows *r, uint32_t c, const struct efx_col *from,
                            uint32_t row)
{
    struct demand_chunk *k = r->last;
    void *data = (void *)(uintptr_t)k->cols[c].data; /* ours: chunk_add made it */
    uint64_t *valid = (uint64_t *)(uintptr_t)k->cols[c].valid;
    if (!efx_bit(from->valid, row)) {
        return EFX_OK;
    }
    efx_bit_put(valid, k->n, true);
    efx_col_copy_slot(data, k->n, from, row);
    if (efx_type_is_cell(from->type)) {
        struct efx_cell *cell = (struct efx_cell *)data + k->n;
        if (cell->len > EFX_CELL_INLINE) {
            uint8_t *copy = efx_arena_bytes(&r->d->arena, cell->len);
            if (copy == NULL) {
                return EFX_ENOMEM;
            }
            memcpy(copy, cell->ptr, cell->len);
            cell->ptr = copy;
        }
    }
    return EFX_OK;
}

/* ---- DISTINCT ---- */

/* A value as 64 bits that are equal where the values are; texts by their hash. */
static uint64_t bits_of(const struct efx_col *c, uint32_t row)
{
    struct efx_value v = efx_value_of_col(c, row);
    double d = 0;
    uint64_t bits;
    if (v.null) {
        return 0x9E3779B97F4A7C15u;
    }
    switch (v.type) {
    case EFX_TYPE_INT: return (uint64_t)v.i;
    case EFX_TYPE_LONG: return (uint64_t)v.l;
    case EFX_TYPE_BOOL: return v.b;
    case EFX_TYPE_STRING:
    case EFX_TYPE_BYTES:
    case EFX_TYPE_OBJECT: return efx_hash_bytes(v.s.p, v.s.n);
    case EFX_TYPE_FLOAT: d = (double)v.f; break;
    case EFX_TYPE_DOUBLE: d = v.d; break;
    case EFX_TYPE_NONE: return 0;
    }
    d = d == 0 ? 0 : d; /* one zero, one NaN */
    memcpy(&bits, &d, sizeof bits);
    return d != d ? 0x7FF8000000000000u : bits;
}

static bool slots_equal(const struct efx_col *a, uint32_t i, const struct efx_col *b, uint32_t k)
{
    bool there = efx_bit(a->valid, i);
    if (there != efx_bit(b->valid, k) || !there) {
        return there == efx_bit(b->valid, k);
    }
    if (efx_type_is_cell(a->type)) {
        return efx_cell_equal((const struct efx_cell *)a->data + i,
                              (const struct efx_cell *)b->data + k);
    }
    return bits_of(a, i) == bits_of(b, k);
}

static bool rows_equal(const struct demand_rows *r, const struct demand_seen *s,
                       const struct efx_col *cols, uint32_t row)
{
    for (uint32_t c = 0; c < r->n_cols; c++) {
        if (!slots_equal(&s->chunk->cols[c], s->row, &cols[c], row)) {
            return false;
        }
    }
    return true;
}

static enum efx_rc seen_grow(struct demand_rows *r)
{
    uint64_t max = r->n_seen_max == 0 ? SEEN_MIN : r->n_seen_max * 2;
    struct demand_seen *more = EFX_NEW_N(&r->d->arena, struct demand_seen, max);
    if (more == NULL) {
        return EFX_ENOMEM;
    }
    for (uint64_t i = 0; i < r->n_seen_max; i++) {
        if (r->seen[i].chunk != NULL) {
            uint64_t at = r->seen[i].hash & (max - 1);
            while (more[at].chunk != NULL) {
                at = (at + 1) & (max - 1);
            }
            more[at] = r->seen[i];
        }
    }
    r->seen = more;
    r->n_seen_max = max;
    return EFX_OK;
}

/* The place of a row like this; a free one if there is none. */
static enum efx_rc seen_find(struct demand_rows *r, const struct efx_col *cols, uint32_t row,
                             struct demand_seen **out)
{
    if (r->n * 2 >= r->n_seen_max) {
        EFX_RET(seen_grow(r));
    }
    uint64_t hash = r->n_cols;
    for (uint32_t c = 0; c < r->n_cols; c++) {
        hash = efx_hash_mix(hash, bits_of(&cols[c], row));
    }
    uint64_t at = hash & (r->n_seen_max - 1);
    while (r->seen[at].chunk != NULL &&
           (r->seen[at].hash != hash || !rows_equal(r, &r->seen[at], cols, row))) {
        at = (at + 1) & (r->n_seen_max - 1);
    }
    r->seen[at].hash = hash;
    *out = &r->seen[at];
    return EFX_OK;
}

/* ---- rows in ---- */

enum efx_rc efx_demand__add(struct demand_rows *r, const struct efx_col *cols, uint32_t row)
{
    struct demand_seen *seen = NULL;
    if (r->distinct) {
        EFX_RET(seen_find(r, cols, row, &seen));
        if (seen->chunk != NULL) {
            return EFX_OK;
        }
    }
    if (r->last == NULL || r->last->n == r->last->n_max) {
        EFX_RET(chunk_add(r));
    }
    for (uint32_t c = 0; c < r->n_cols; c++) {
        EFX_RET(slot_put(r, c, &cols[c], row));
    }
    if (seen != NULL) {
        seen->chunk = r->last;
        seen->row = r->last->n;
    }
    r->last->n++;
    r->n++;
    return EFX_OK;
}

enum efx_rc efx_demand__take(struct efx_op *to, uint32_t inlet, const struct efx_step *step,
                             const struct efx_rows *rows)
{
    struct demand_rows *r = (struct demand_rows *)to;
    (void)inlet;
    (void)step;
    for (uint32_t i = rows->from; i < rows->until; i++) {
        if (efx_bit(rows->b->sel, i)) {
            EFX_RET(efx_demand__add(r, rows->b->cols, i));
        }
    }
    return EFX_OK;
}

enum efx_rc efx_demand__failed(struct efx_op *to, uint32_t inlet, const struct efx_step *step,
                               const struct efx_rows *rows)
{
    struct demand_rows *r = (struct demand_rows *)to;
    (void)inlet;
    (void)step;
    for (uint32_t i = rows->from; i < rows->until; i++) {
        if (efx_bit(rows->b->sel, i)) {
            return efx_demand__data_error(r->d, rows->b->code[i]);
        }
    }
    return EFX_OK;
}
