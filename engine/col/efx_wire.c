#include "efx_wire.h"

enum {
    HAS_CLK = 1,
    HAS_KIND = 2,
    HAS_MOMENT = 4,
    HAS_SUB = 8,
    HAS_CODE = 16,
    HAS_SET_END = 32,
    HAS_NUMBER = 64
};

static uint32_t place(const struct efx_wire_pick *p, uint32_t i)
{
    return p->at != NULL ? p->at[i] : p->first + i;
}

/* ---- out ---- */

static void put_fixed(struct efx_buf *to, const void *from, uint32_t width,
                      const struct efx_wire_pick *p)
{
    uint8_t *out = efx_buf_room(to, (size_t)p->n * width);
    if (out == NULL) {
        return;
    }
    if (p->at == NULL) {
        memcpy(out, (const uint8_t *)from + (size_t)p->first * width, (size_t)p->n * width);
        return;
    }
    for (uint32_t i = 0; i < p->n; i++) {
        memcpy(out + (size_t)i * width, (const uint8_t *)from + (size_t)p->at[i] * width, width);
    }
}

static void put_bits(struct efx_buf *to, const uint64_t *bits, const struct efx_wire_pick *p)
{
    for (uint32_t w = 0; w < efx_words(p->n); w++) {
        uint64_t word = 0;
        for (uint32_t i = w * 64; i < p->n && i < w * 64 + 64; i++) {
            word |= (uint64_t)efx_bit(bits, place(p, i)) << (i % 64);
        }
        efx_buf_u64(to, word);
    }
}

static bool has_nulls(const struct efx_col *c, const struct efx_wire_pick *p)
{
    for (uint32_t i = 0; c->valid != NULL && i < p->n; i++) {
        if (!efx_bit(c->valid, place(p, i))) {
            return true;
        }
    }
    return false;
}

static void put_cells(struct efx_buf *to, const struct efx_col *c, const struct efx_wire_pick *p)
{
    const struct efx_cell *cells = c->data;
    size_t total = 0;
    uint8_t *lens = efx_buf_room(to, (size_t)p->n * 4);
    for (uint32_t i = 0; lens != NULL && i < p->n; i++) {
        uint32_t row = place(p, i);
        uint32_t len = efx_bit(c->valid, row) ? cells[row].len : 0;
        memcpy(lens + (size_t)i * 4, &len, 4);
        total += len;
    }
    uint8_t *heap = efx_buf_room(to, total);
    for (uint32_t i = 0; heap != NULL && i < p->n; i++) {
        uint32_t row = place(p, i);
        if (efx_bit(c->valid, row) && cells[row].len > 0) {
            memcpy(heap, efx_cell_bytes(&cells[row]), cells[row].len);
            heap += cells[row].len;
        }
    }
}

void efx_wire_put_col(struct efx_buf *to, const struct efx_col *c, const struct efx_wire_pick *pick)
{
    bool nulls = has_nulls(c, pick);
    efx_buf_u8(to, (uint8_t)c->type);
    efx_buf_u8(to, nulls);
    if (nulls) {
        put_bits(to, c->valid, pick);
    }
    if (efx_type_is_cell(c->type)) {
        put_cells(to, c, pick);
        return;
    }
    uint32_t width = efx_type_width(c->type);
    size_t from = to->n;
    put_fixed(to, c->data, width, pick);
    for (uint32_t i = 0; nulls && !to->bad && i < pick->n; i++) {
        if (!efx_bit(c->valid, place(pick, i))) {
            memset(to->p + from + (size_t)i * width, 0, width);
        }
    }
}

void efx_wire_put(struct efx_buf *to, const struct efx_rows *rows)
{
    const struct efx_batch *b = rows->b;
    uint32_t list[EFX_BATCH_ROWS_MAX];
    struct efx_wire_pick p = {.first = rows->from, .n = rows->until - rows->from};
    if (!efx_rows_dense(rows)) {
        p.n = efx_rows_list(rows, list);
        p.at = list;
    }
    if (p.n == 0) {
        return;
    }
    efx_buf_u32(to, p.n);
    efx_buf_u16(to, (uint16_t)b->n_cols);
    efx_buf_u16(to, (uint16_t)b->n_hidden);
    efx_buf_u8(to,
               (uint8_t)((b->clk_ms != NULL ? HAS_CLK : 0) | (b->kind != NULL ? HAS_KIND : 0) |
                         (b->moment != NULL ? HAS_MOMENT : 0) | (b->sub != NULL ? HAS_SUB : 0) |
                         (b->code != NULL ? HAS_CODE : 0) | (b->set_end != NULL ? HAS_SET_END : 0) |
                         (b->number != NULL ? HAS_NUMBER : 0)));
    put_fixed(to, b->ts_ms, 8, &p);
    const struct {
        const void *from;
        uint32_t width;
    } parts[] = {{b->clk_ms, 8}, {b->moment, 8}, {b->sub, 8}, {b->kind, 1}, {b->code, 2}};
    for (uint32_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (parts[i].from != NULL) {
            put_fixed(to, parts[i].from, parts[i].width, &p);
        }
    }
    if (b->set_end != NULL) {
        put_bits(to, b->set_end, &p);
    }
    if (b->number != NULL) {
        put_fixed(to, b->number, 8, &p);
    }
    for (uint32_t c = 0; c < b->n_cols + b->n_hidden; c++) {
        efx_wire_put_col(to, &b->cols[c], &p);
    }
}

/* ---- in ---- */

static enum efx_rc get_array(struct efx_reader *r, struct efx_arena *arena, size_t bytes,
                             void **out)
{
    struct efx_bytes view = efx_get_view(r, bytes);
    if (r->bad) {
        return EFX_EPARSE;
    }
    *out = efx_arena_alloc(arena, 1, bytes + 1, 16);
    if (*out == NULL) {
        return EFX_ENOMEM;
    }
    memcpy(*out, view.p, view.n);
    return EFX_OK;
}

static enum efx_rc get_cells(struct efx_reader *r, struct efx_arena *arena, uint32_t n,
                             const uint64_t *valid, const void **out)
{
    struct efx_reader lens = {0};
    struct efx_bytes view = efx_get_view(r, (uint64_t)n * 4);
    uint64_t total = 0;
    for (uint32_t i = 0; i < n && !r->bad; i++) {
        uint32_t len;
        memcpy(&len, view.p + (size_t)i * 4, 4);
        total += len;
    }
    lens = (struct efx_reader){view.p, view.n, false};
    void *heap;
    EFX_RET(r->bad || total > r->left ? EFX_EPARSE : get_array(r, arena, (size_t)total, &heap));
    struct efx_cell *cells = efx_arena_alloc(arena, n, sizeof *cells, 16);
    if (cells == NULL) {
        return EFX_ENOMEM;
    }
    const uint8_t *at = heap;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t len = efx_get_u32(&lens);
        if (efx_bit(valid, i)) {
            cells[i] = efx_cell_make(at, len);
        }
        at += len;
    }
    *out = cells;
    return EFX_OK;
}

enum efx_rc efx_wire_get_col(struct efx_reader *r, struct efx_arena *arena, uint32_t n,
                             struct efx_col *out)
{
    uint8_t type = efx_get_u8(r), nulls = efx_get_u8(r);
    if (r->bad || type == 0 || type >= EFX_TYPES || nulls > 1 || n > EFX_BATCH_ROWS_MAX) {
        return EFX_EPARSE;
    }
    void *valid = NULL, *data;
    if (nulls) {
        EFX_RET(get_array(r, arena, (size_t)efx_words(n) * 8, &valid));
    }
    *out = (struct efx_col){.type = (enum efx_type)type, .valid = valid};
    if (efx_type_is_cell(out->type)) {
        return get_cells(r, arena, n, valid, &out->data);
    }
    EFX_RET(get_array(r, arena, (size_t)n * efx_type_width(out->type), &data));
    out->data = data;
    for (uint32_t i = 0; type == EFX_TYPE_BOOL && i < n; i++) {
        if (((const uint8_t *)data)[i] > 1) {
            return EFX_EPARSE;
        }
    }
    return EFX_OK;
}

enum efx_rc efx_wire_get(struct efx_reader *r, struct efx_arena *arena, struct efx_batch *out)
{
    uint32_t n = efx_get_u32(r);
    uint32_t n_cols = efx_get_u16(r), n_hidden = efx_get_u16(r);
    uint8_t what = efx_get_u8(r);
    if (r->bad || n == 0 || n > EFX_BATCH_ROWS_MAX || n_cols + n_hidden > EFX_WIRE_COLS_MAX ||
        what >= HAS_NUMBER * 2) {
        return EFX_EPARSE;
    }
    void *ts, *clk = NULL, *moment = NULL, *sub = NULL, *kind = NULL, *code = NULL, *end = NULL,
              *number = NULL;
    EFX_RET(get_array(r, arena, (size_t)n * 8, &ts));
    const struct {
        uint32_t bit;
        size_t bytes;
        void **out;
    } parts[] = {{HAS_CLK, (size_t)n * 8, &clk},      {HAS_MOMENT, (size_t)n * 8, &moment},
                 {HAS_SUB, (size_t)n * 8, &sub},      {HAS_KIND, n, &kind},
                 {HAS_CODE, (size_t)n * 2, &code},    {HAS_SET_END, (size_t)efx_words(n) * 8, &end},
                 {HAS_NUMBER, (size_t)n * 8, &number}};
    for (uint32_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (what & parts[i].bit) {
            EFX_RET(get_array(r, arena, parts[i].bytes, parts[i].out));
        }
    }
    struct efx_col *cols = efx_arena_alloc(arena, n_cols + n_hidden + 1, sizeof *cols, 16);
    if (cols == NULL) {
        return EFX_ENOMEM;
    }
    for (uint32_t c = 0; c < n_cols + n_hidden; c++) {
        EFX_RET(efx_wire_get_col(r, arena, n, &cols[c]));
    }
    *out = (struct efx_batch){.n_rows = n,
                              .n_cols = n_cols,
                              .n_hidden = n_hidden,
                              .cols = cols,
                              .ts_ms = ts,
                              .clk_ms = clk,
                              .kind = kind,
                              .moment = moment,
                              .sub = sub,
                              .code = code,
                              .set_end = end,
                              .number = number};
    return EFX_OK;
}
