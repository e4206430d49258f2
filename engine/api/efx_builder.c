#include "efx_builder.h"

enum efx_rc efx_builder_create(struct efx_arena *keep, struct efx_mem *mem,
                               const struct efx_schema *const *schemas, uint32_t n_streams,
                               uint32_t turns_max, struct efx_builder **out)
{
    EFX_ASSERT(turns_max >= 1 && turns_max <= EFX_STEP_TURNS_MAX);
    struct efx_builder *b = EFX_NEW(keep, struct efx_builder);
    if (b == NULL) {
        return EFX_ENOMEM;
    }
    b->schemas = schemas;
    b->n_streams = n_streams;
    b->turns_max = turns_max;
    b->keep = keep;
    b->turns = EFX_NEW_N(keep, struct efx_turn, turns_max);
    b->set = EFX_NEW_N(keep, struct efx_colset *, n_streams + 1);
    b->used = EFX_NEW_N(keep, uint16_t, n_streams + 1);
    b->clock_ms = EFX_NEW_N(keep, int64_t, turns_max);
    b->rejects = EFX_NEW_N(keep, struct efx_reject, turns_max);
    efx_arena_init(&b->heap, mem, SIZE_MAX);
    if (b->turns == NULL || b->set == NULL || b->used == NULL || b->clock_ms == NULL ||
        b->rejects == NULL) {
        return EFX_ENOMEM;
    }
    *out = b;
    return EFX_OK;
}

void efx_builder_clear(struct efx_builder *b)
{
    for (uint32_t i = 0; i < b->n_used; i++) {
        struct efx_colset *s = b->set[b->used[i]];
        s->n_rows = 0;
        s->lent = NULL;
        s->lent_ts = NULL;
    }
    b->n_turns = b->n_used = b->n_clocks = b->n_rejects = 0;
    efx_arena_reset(&b->heap);
}

void efx_builder_close(struct efx_builder *b)
{
    efx_arena_fini(&b->heap);
}

static struct efx_colset *make_set(struct efx_builder *b, uint16_t stream, bool own)
{
    const struct efx_schema *schema = b->schemas[stream];
    struct efx_colset *s = b->set[stream];
    if (s == NULL) {
        s = EFX_NEW(b->keep, struct efx_colset);
        if (s == NULL) {
            return NULL;
        }
        s->stream = stream;
        s->n_cols = schema->n_cols;
        b->set[stream] = s;
    }
    if (own && s->data == NULL) {
        void **data = EFX_NEW_N(b->keep, void *, schema->n_cols + 1);
        uint64_t **valid = EFX_NEW_N(b->keep, uint64_t *, schema->n_cols + 1);
        s->ts_ms = EFX_NEW_N(b->keep, int64_t, b->turns_max);
        if (data == NULL || valid == NULL || s->ts_ms == NULL) {
            return NULL;
        }
        for (uint32_t c = 0; c < schema->n_cols; c++) {
            data[c] = efx_arena_alloc(b->keep, b->turns_max, efx_type_width(schema->cols[c].type),
                                      EFX_CACHE_LINE);
            valid[c] = EFX_NEW_N(b->keep, uint64_t, efx_words(b->turns_max));
            if (data[c] == NULL || valid[c] == NULL) {
                return NULL;
            }
        }
        s->data = data;
        s->valid = valid;
    }
    return s;
}

enum efx_rc efx_builder_begin(struct efx_builder *b, uint16_t stream, int64_t ts_ms,
                              struct efx_colset **out)
{
    if (efx_builder_full(b)) {
        return EFX_AGAIN;
    }
    struct efx_colset *s = b->set[stream];
    if (s == NULL || s->data == NULL) {
        s = make_set(b, stream, true);
        if (s == NULL) {
            return EFX_ENOMEM;
        }
    }
    if (s->lent != NULL) {
        return EFX_AGAIN;
    }
    for (uint32_t c = 0; c < s->n_cols; c++) {
        efx_bit_put(s->valid[c], s->n_rows, false);
    }
    s->ts_ms[s->n_rows] = ts_ms;
    *out = s;
    return EFX_OK;
}

enum efx_rc efx_builder_text(struct efx_builder *b, struct efx_colset *s, uint32_t c,
                             const void *bytes, uint32_t n)
{
    const void *kept = bytes;
    if (n > EFX_CELL_INLINE) {
        void *copy = efx_arena_bytes(&b->heap, n);
        if (copy == NULL) {
            return EFX_ENOMEM;
        }
        kept = memcpy(copy, bytes, n);
    }
    ((struct efx_cell *)s->data[c])[s->n_rows] = efx_cell_make(kept, n);
    efx_builder_valid(s, c);
    return EFX_OK;
}

void efx_builder_end(struct efx_builder *b, struct efx_colset *s)
{
    if (s->n_rows == 0) {
        b->used[b->n_used++] = s->stream;
    }
    b->turns[b->n_turns++] = (struct efx_turn){s->stream, (uint16_t)s->n_rows++};
}

/* All rows of a stream, one after the other. */
static void turns_add(struct efx_builder *b, uint16_t stream, uint32_t n_rows)
{
    struct efx_turn *turn = b->turns + b->n_turns;
    for (uint32_t i = 0; i < n_rows; i++) {
        turn[i] = (struct efx_turn){stream, (uint16_t)i};
    }
    b->n_turns += n_rows;
}

enum efx_rc efx_builder_lend(struct efx_builder *b, uint16_t stream, uint32_t n_rows,
                             const struct efx_col *cols, const int64_t *ts_ms)
{
    EFX_ASSERT(n_rows > 0 && n_rows <= b->turns_max - b->n_turns);
    struct efx_colset *s = make_set(b, stream, false);
    if (s == NULL) {
        return EFX_ENOMEM;
    }
    if (s->n_rows > 0) {
        return EFX_AGAIN;
    }
    s->lent = cols;
    s->lent_ts = ts_ms;
    s->n_rows = n_rows;
    b->used[b->n_used++] = stream;
    turns_add(b, stream, n_rows);
    return EFX_OK;
}

static enum efx_rc copy_texts(struct efx_builder *b, struct efx_cell *cells, uint32_t n,
                              const uint64_t *valid)
{
    for (uint32_t i = 0; i < n; i++) {
        if (cells[i].len > EFX_CELL_INLINE && efx_bit(valid, i)) {
            void *copy = efx_arena_bytes(&b->heap, cells[i].len);
            if (copy == NULL) {
                return EFX_ENOMEM;
            }
            cells[i].ptr = memcpy(copy, cells[i].ptr, cells[i].len);
        }
    }
    return EFX_OK;
}

enum efx_rc efx_builder_copy(struct efx_builder *b, uint16_t stream, uint32_t n_rows,
                             const struct efx_col *cols, const int64_t *ts_ms)
{
    EFX_ASSERT(n_rows > 0 && n_rows <= b->turns_max - b->n_turns);
    struct efx_colset *s = make_set(b, stream, true);
    if (s == NULL) {
        return EFX_ENOMEM;
    }
    if (s->n_rows > 0) {
        return EFX_AGAIN;
    }
    for (uint32_t c = 0; c < s->n_cols; c++) {
        memcpy(s->data[c], cols[c].data, (size_t)n_rows * efx_type_width(cols[c].type));
        for (uint32_t w = 0; w < efx_words(n_rows); w++) {
            s->valid[c][w] = efx_word(cols[c].valid, w, n_rows);
        }
        if (efx_type_is_cell(cols[c].type)) {
            EFX_RET(copy_texts(b, s->data[c], n_rows, s->valid[c]));
        }
    }
    if (ts_ms != NULL) {
        memcpy(s->ts_ms, ts_ms, n_rows * sizeof *ts_ms);
    }
    for (uint32_t i = 0; ts_ms == NULL && i < n_rows; i++) {
        s->ts_ms[i] = EFX_TS_NONE;
    }
    turns_add(b, stream, n_rows);
    s->n_rows = n_rows;
    b->used[b->n_used++] = stream;
    return EFX_OK;
}

enum efx_rc efx_builder_advance(struct efx_builder *b, int64_t by_ms)
{
    if (efx_builder_full(b)) {
        return EFX_AGAIN;
    }
    b->clock_ms[b->n_clocks] = by_ms;
    b->turns[b->n_turns++] = (struct efx_turn){EFX_TURN_CLOCK, (uint16_t)b->n_clocks++};
    return EFX_OK;
}

enum efx_rc efx_builder_reject(struct efx_builder *b, uint16_t stream, uint16_t code, uint32_t line,
                               const void *text, size_t n)
{
    if (efx_builder_full(b)) {
        return EFX_AGAIN;
    }
    uint32_t kept = n > EFX_REJECT_BYTES_MAX ? EFX_REJECT_BYTES_MAX : (uint32_t)n;
    void *copy = efx_arena_bytes(&b->heap, kept + 1);
    if (copy == NULL) {
        return EFX_ENOMEM;
    }
    memcpy(copy, n == 0 ? "" : text, kept);
    b->rejects[b->n_rejects] = (struct efx_reject){stream, code, line, efx_cell_make(copy, kept)};
    b->turns[b->n_turns++] = (struct efx_turn){EFX_TURN_REJECT, (uint16_t)b->n_rejects++};
    return EFX_OK;
}
