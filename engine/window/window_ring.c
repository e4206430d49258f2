/* length(n) in a PARTITION: a ring of rows per copy, so an idle copy pins nothing but its own rows.
 *
 *   entry   birth │ ref, cap, first, n         the copy's state, its parts in the table's heap
 *   piece   row_bytes, cells_off, n_cells │ row │ row │ …      4, 8 … n rows; grown by copying
 *   row     ts (if expired rows are wanted) │ NULL bits │ 8-byte values … │ cells …
 *   cell    len │ head │ tail, or ref of the text in the heap
 *
 * The piece says how it is laid out, so save, load and fini need nothing else. What leaves is
 * copied into `left` before its slot is written again; its texts go to the step's arena.
 *
 *   Limits  EFX_LOG_COLS_MAX held columns
 *   Order   by arrival within a copy; nothing is asked across copies
 */
#include "window_length.h"

enum { CHUNK = EFX_CHANGES_MAX / 2, CAP_FIRST = 4, AHEAD = 16 };

struct ring {
    uint32_t ref;
    uint32_t cap;
    uint32_t first;
    uint32_t n;
};

struct piece {
    uint32_t row_bytes;
    uint32_t cells_off;
    uint32_t n_cells;
    uint32_t zero;
};

struct cell { /* in a row */
    uint32_t len;
    uint8_t head[4];
    union {
        uint8_t tail[8];
        uint32_t ref;
    };
};

static uint32_t piece_bytes(uint32_t row_bytes, uint32_t cap)
{
    return (uint32_t)sizeof(struct piece) + row_bytes * cap;
}

static uint8_t *row_of(const struct efx_heap *heap, const struct ring *r, uint32_t i,
                       uint32_t row_bytes)
{
    struct piece *p = efx_heap_at(heap, r->ref);
    uint32_t slot = r->first + i < r->cap ? r->first + i : r->first + i - r->cap;
    return (uint8_t *)(p + 1) + (size_t)slot * row_bytes;
}

static uint8_t *row_at(const struct efx_heap *heap, const struct ring *r, uint32_t i)
{
    const struct piece *p = efx_heap_at(heap, r->ref);
    return row_of(heap, r, i, p->row_bytes);
}

static struct cell *cell_at(uint8_t *row, const struct piece *p, uint32_t k)
{
    return (struct cell *)(void *)(row + p->cells_off) + k;
}

static const uint8_t *cell_text(const struct efx_heap *heap, const struct cell *c)
{
    return c->len > EFX_CELL_INLINE ? efx_heap_at(heap, c->ref) : c->head;
}

/* ---- the state's methods ---- */

static void ring_init(void *state)
{
    memset(state, 0, sizeof(struct ring));
}

static void row_drop(struct efx_heap *heap, uint8_t *row, const struct piece *p)
{
    for (uint32_t k = 0; k < p->n_cells; k++) {
        struct cell *c = cell_at(row, p, k);
        if (c->len > EFX_CELL_INLINE) {
            efx_heap_put(heap, c->ref, c->len);
        }
    }
}

static void ring_fini(const struct efx_states *at, void *state)
{
    struct ring *r = state;
    if (r->ref == 0) {
        return;
    }
    struct piece *p = efx_heap_at(at->heap, r->ref);
    for (uint32_t i = 0; i < r->n; i++) {
        row_drop(at->heap, row_at(at->heap, r, i), p);
    }
    efx_heap_put(at->heap, r->ref, piece_bytes(p->row_bytes, r->cap));
    *r = (struct ring){0};
}

static uint32_t ring_save_bytes(const struct efx_states *at, const void *state)
{
    const struct ring *r = state;
    uint32_t n = 4 + (uint32_t)sizeof(struct piece);
    for (uint32_t i = 0; i < r->n; i++) {
        const struct piece *p = efx_heap_at(at->heap, r->ref);
        uint8_t *row = row_at(at->heap, r, i);
        n += p->row_bytes;
        for (uint32_t k = 0; k < p->n_cells; k++) {
            uint32_t len = cell_at(row, p, k)->len;
            n += len > EFX_CELL_INLINE ? len : 0;
        }
    }
    return n;
}

static void ring_save(const struct efx_states *at, const void *state, struct efx_writer *w)
{
    const struct ring *r = state;
    static const struct piece none;
    const struct piece *p = r->ref == 0 ? &none : efx_heap_at(at->heap, r->ref);
    efx_put_u32(w, r->n);
    efx_put_raw(w, p, sizeof *p);
    for (uint32_t i = 0; i < r->n; i++) {
        uint8_t *row = row_at(at->heap, r, i);
        efx_put_raw(w, row, p->row_bytes);
        for (uint32_t k = 0; k < p->n_cells; k++) {
            const struct cell *c = cell_at(row, p, k);
            if (c->len > EFX_CELL_INLINE) {
                efx_put_raw(w, cell_text(at->heap, c), c->len);
            }
        }
    }
}

static uint32_t cap_for(uint32_t n)
{
    uint32_t cap = CAP_FIRST;
    while (cap < n) {
        cap *= 2;
    }
    return cap;
}

static enum efx_rc ring_load(const struct efx_states *at, void *state, struct efx_reader *r)
{
    struct ring *s = state;
    struct piece p;
    uint32_t n = efx_get_u32(r);
    efx_get_raw(r, &p, sizeof p);
    if (r->bad || n == 0) {
        return r->bad ? EFX_EPARSE : EFX_OK;
    }
    if (p.row_bytes < p.cells_off || (uint64_t)n * p.row_bytes > UINT32_MAX / 4 ||
        (p.row_bytes - p.cells_off) / sizeof(struct cell) != p.n_cells ||
        (uint64_t)n * p.row_bytes > r->left) {
        return EFX_EPARSE;
    }
    uint32_t cap = cap_for(n);
    EFX_RET(efx_heap_get(at->heap, piece_bytes(p.row_bytes, cap), &s->ref));
    memcpy(efx_heap_at(at->heap, s->ref), &p, sizeof p);
    s->cap = cap;
    for (uint32_t i = 0; i < n; i++) {
        uint8_t *row = row_at(at->heap, s, i);
        efx_get_raw(r, row, p.row_bytes);
        for (uint32_t k = 0; k < p.n_cells; k++) {
            struct cell *c = cell_at(row, &p, k);
            if (c->len <= EFX_CELL_INLINE) {
                continue;
            }
            struct efx_bytes text = efx_get_view(r, c->len);
            uint32_t len = c->len;
            c->len = 0; /* nothing to give back if the next line fails */
            if (r->bad) {
                return EFX_EPARSE;
            }
            EFX_RET(efx_heap_get(at->heap, len, &c->ref));
            memcpy(efx_heap_at(at->heap, c->ref), text.p, len);
            c->len = len;
        }
        s->n = i + 1;
    }
    return EFX_OK;
}

static const struct efx_agg_vt ring_state = {
    .base = {.abi = EFX_ABI, .vt_bytes = sizeof(struct efx_agg_vt), .name = "ring"},
    .in = EFX_TYPE_NONE,
    .out = EFX_TYPE_LONG,
    .state_bytes = sizeof(struct ring),
    .init = ring_init,
    .fini = ring_fini,
    .save_bytes = ring_save_bytes,
    .save = ring_save,
    .load = ring_load,
};

/* ---- opening ---- */

enum efx_rc efx_window__ring_open(struct win_length *w)
{
    const struct efx_window_open *how = &w->how;
    struct win_ring_layout *y = &w->ring;
    struct efx_keyed_state state = {.agg = &ring_state};
    EFX_RET(efx_window__copies_open(&w->copies, how, &state));
    /* The offsets lie in a piece of the table's heap: they go with it. */
    uint32_t ref;
    struct efx_heap *heap = efx_keyed_heap(w->copies.table);
    EFX_RET(efx_heap_get(heap, (how->held.n + 1) * (uint32_t)sizeof *y->off, &ref));
    y->off = efx_heap_at(heap, ref);
    y->nulls_off = how->want_expired ? 8 : 0;
    uint32_t at = y->nulls_off + (how->held.n + 63) / 64 * 8;
    for (uint32_t k = 0; k < how->held.n; k++) {
        if (!efx_type_is_cell(how->types[how->held.col[k]])) {
            y->off[k] = at;
            at += 8;
        }
    }
    y->cells_off = at;
    for (uint32_t k = 0; k < how->held.n; k++) {
        if (efx_type_is_cell(how->types[how->held.col[k]])) {
            y->off[k] = at;
            at += (uint32_t)sizeof(struct cell);
            y->n_cells++;
        }
    }
    y->row_bytes = at;
    y->words = !how->want_expired && how->held.n > 0 && how->held.n <= 64; /* 0: no NULL bits */
    for (uint32_t k = 0; k < how->held.n; k++) {
        y->words = y->words && efx_type_width(how->types[how->held.col[k]]) == 8;
    }
    return EFX_OK;
}

/* ---- rows in and out ---- */

/* Room for one more row; the ring keeps its order. */
static enum efx_rc ring_grow(struct win_length *w, struct efx_heap *heap, struct ring *r)
{
    const struct win_ring_layout *y = &w->ring;
    uint64_t twice = r->cap == 0 ? CAP_FIRST : (uint64_t)r->cap * 2;
    uint32_t cap = (uint32_t)(twice < w->n ? twice : w->n);
    struct ring more = {.cap = cap, .n = r->n};
    if ((uint64_t)cap * y->row_bytes > UINT32_MAX / 2) {
        return EFX_ENOMEM;
    }
    EFX_RET(efx_heap_get(heap, piece_bytes(y->row_bytes, cap), &more.ref));
    struct piece *p = efx_heap_at(heap, more.ref);
    *p = (struct piece){y->row_bytes, y->cells_off, y->n_cells, 0};
    for (uint32_t i = 0; i < r->n; i++) {
        memcpy(row_at(heap, &more, i), row_at(heap, r, i), y->row_bytes);
    }
    if (r->ref != 0) {
        efx_heap_put(heap, r->ref, piece_bytes(y->row_bytes, r->cap));
    }
    *r = more;
    return EFX_OK;
}

static enum efx_rc cell_put(struct efx_heap *heap, const struct efx_cell *from, struct cell *to)
{
    if (from->len <= EFX_CELL_INLINE) {
        memcpy(to, from, sizeof *to);
        return EFX_OK;
    }
    to->len = 0;
    uint32_t ref;
    EFX_RET(efx_heap_get(heap, from->len, &ref));
    memcpy(efx_heap_at(heap, ref), from->ptr, from->len);
    memcpy(to->head, from->head, sizeof to->head);
    to->ref = ref;
    to->len = from->len;
    return EFX_OK;
}

/* 8-byte values behind one word of NULL bits. */
static void words_put(const struct win_length *w, const struct efx_batch *b, uint32_t i,
                      uint64_t *row)
{
    const struct efx_conf_cols *held = &w->how.held;
    uint64_t nulls = 0;
    for (uint32_t k = 0; k < held->n; k++) {
        const struct efx_col *c = &b->cols[held->col[k]];
        bool there = efx_bit(c->valid, i);
        nulls |= (uint64_t)!there << k;
        row[k + 1] = there ? ((const uint64_t *)c->data)[i] : 0;
    }
    row[0] = nulls;
}

static enum efx_rc row_put(struct win_length *w, struct efx_heap *heap, const struct efx_batch *b,
                           uint32_t i, uint8_t *row)
{
    const struct win_ring_layout *y = &w->ring;
    const struct efx_conf_cols *held = &w->how.held;
    if (y->words) {
        words_put(w, b, i, (uint64_t *)(void *)row);
        return EFX_OK;
    }
    uint64_t *nulls = (uint64_t *)(void *)(row + y->nulls_off);
    if (w->how.want_expired) {
        memcpy(row, &b->ts_ms[i], 8);
    }
    memset(nulls, 0, (held->n + 63) / 64 * 8);
    for (uint32_t k = 0; k < held->n; k++) {
        const struct efx_col *c = &b->cols[held->col[k]];
        void *slot = row + y->off[k];
        if (!efx_bit(c->valid, i)) {
            nulls[k / 64] |= (uint64_t)1 << k % 64;
            memset(slot, 0, efx_type_is_cell(c->type) ? sizeof(struct cell) : 8);
        } else if (efx_type_is_cell(c->type)) {
            EFX_RET(cell_put(heap, &((const struct efx_cell *)c->data)[i], slot));
        } else {
            efx_col_copy_slot(slot, 0, c, i);
        }
    }
    return EFX_OK;
}

struct left { /* columns of what leaves in this call */
    struct efx_batch b;
    void **data;
    uint64_t **valid;
    int64_t *ts_ms;
    bool any_null;
};

static void left_begin(struct win_length *w, struct left *l)
{
    struct efx_ctx *ctx = w->how.ctx;
    const struct efx_conf_cols *held = &w->how.held;
    l->data = efx_scratch(ctx, (held->n + 1) * sizeof *l->data);
    l->valid = efx_scratch(ctx, (held->n + 1) * sizeof *l->valid);
    l->ts_ms = efx_scratch(ctx, CHUNK * sizeof *l->ts_ms);
    for (uint32_t k = 0; k < held->n; k++) {
        l->data[k] = efx_scratch(ctx, CHUNK * efx_type_width(w->how.types[held->col[k]]));
        l->valid[k] = efx_scratch(ctx, CHUNK / 8);
        memset(l->valid[k], 0xFF, CHUNK / 8);
    }
    l->any_null = false;
    l->b = (struct efx_batch){.ts_ms = l->ts_ms};
}

static void words_show(const uint64_t *row, uint32_t n_held, struct left *l)
{
    uint32_t i = l->b.n_rows++;
    l->ts_ms[i] = 0;
    for (uint32_t k = 0; k < n_held; k++) {
        ((uint64_t *)l->data[k])[i] = row[k + 1];
    }
    for (uint64_t nulls = row[0]; nulls != 0; nulls &= nulls - 1) {
        efx_bit_put(l->valid[__builtin_ctzll(nulls)], i, false);
        l->any_null = true;
    }
}

/* A row of a ring becomes the next of `left`. */
static void row_show(const struct win_length *w, const struct efx_heap *heap, uint8_t *row,
                     struct left *l)
{
    const struct win_ring_layout *y = &w->ring;
    const struct efx_conf_cols *held = &w->how.held;
    if (y->words) {
        words_show((const uint64_t *)(const void *)row, held->n, l);
        return;
    }
    uint32_t i = l->b.n_rows++;
    const uint64_t *nulls = (const uint64_t *)(const void *)(row + y->nulls_off);
    l->ts_ms[i] = 0;
    if (w->how.want_expired) {
        memcpy(&l->ts_ms[i], row, 8);
    }
    for (uint32_t k = 0; k < held->n; k++) {
        enum efx_type type = w->how.types[held->col[k]];
        void *slot = row + y->off[k];
        if ((nulls[k / 64] >> k % 64 & 1) != 0) {
            efx_bit_put(l->valid[k], i, false);
            l->any_null = true;
        }
        if (efx_type_is_cell(type)) {
            const struct cell *c = slot;
            ((struct efx_cell *)l->data[k])[i] =
                efx_ctx_cell(w->how.ctx, cell_text(heap, c), c->len);
        } else {
            efx_col_copy_slot(l->data[k], i, &(struct efx_col){type, slot, NULL}, 0);
        }
    }
}

/* The oldest row of a ring goes into `left` and gives its texts back. */
static void row_take(const struct win_length *w, struct efx_heap *heap, struct ring *r,
                     struct left *l)
{
    uint8_t *row = row_of(heap, r, 0, w->ring.row_bytes);
    row_show(w, heap, row, l);
    if (w->ring.n_cells > 0) {
        row_drop(heap, row, efx_heap_at(heap, r->ref));
    }
    r->first = r->first + 1 == r->cap ? 0 : r->first + 1;
    r->n--;
}

static const struct efx_batch *left_end(struct win_length *w, struct left *l)
{
    const struct efx_conf_cols *held = &w->how.held;
    if (l->b.n_rows == 0) {
        return NULL;
    }
    struct efx_batch *b = efx_scratch(w->how.ctx, sizeof *b);
    struct efx_col *cols = efx_scratch(w->how.ctx, (held->n + 1) * sizeof *cols);
    for (uint32_t k = 0; k < held->n; k++) {
        cols[k] = (struct efx_col){w->how.types[held->col[k]], l->data[k], l->valid[k]};
        cols[k].valid = l->any_null ? cols[k].valid : NULL;
    }
    *b = l->b;
    b->cols = cols;
    b->n_cols = held->n;
    return b;
}

enum { FIND_BLOCK = 128 };

/* Copies of the slice's rows, a block's misses waited for together. Those that were met before are
 * not touched yet. */
static enum efx_rc find(struct win_length *w, const struct efx_batch *b, const uint32_t *at,
                        uint32_t n, uint32_t *id)
{
    const struct win_copies *c = &w->copies;
    const uint32_t *copy = b->cols[w->how.copy_col].data;
    const int64_t *birth = b->cols[w->how.copy_col + 1].data;
    const struct efx_entry *guess[FIND_BLOCK]; /* entries never move; the slabs' directory does */
    for (uint32_t from = 0, until; from < n; from = until) {
        uint32_t n_ids = efx_keyed_n_ids(c->table);
        const struct efx_states states = efx_keyed_states(c->table, 0);
        until = n - from < FIND_BLOCK ? n : from + FIND_BLOCK;
        for (uint32_t i = from; i < until; i++) {
            id[i] = copy[at[i]] < c->n_map ? c->map[copy[at[i]]] : EFX_KEYED_DEAD;
            guess[i - from] = NULL;
            if (id[i] < n_ids) {
                uint8_t *e = (uint8_t *)efx_state_at(&states, id[i]) - states.off;
                guess[i - from] = (const struct efx_entry *)(const void *)e;
                __builtin_prefetch(e, 1);
            }
        }
        for (uint32_t i = from; i < until; i++) {
            const struct efx_entry *e = guess[i - from];
            if (e == NULL || e->stamp == EFX_KEYED_DEAD ||
                memcmp(e->key, &birth[at[i]], sizeof *birth) != 0) {
                EFX_RET(efx_window__copy_of(&w->copies, b, at[i], &id[i]));
            }
        }
    }
    return EFX_OK;
}

/* Inlined by force: a function that only fetches ahead looks to gcc as if it did nothing. */
static inline __attribute__((always_inline)) void fetch_ahead(const struct win_length *w,
                                                              const struct efx_states *at,
                                                              const uint32_t *id, uint32_t n,
                                                              uint32_t i)
{
    if (i + AHEAD < n) {
        const struct ring *r = efx_state_at(at, id[i + AHEAD]);
        if (r->ref != 0) {
            uint8_t *rows = (uint8_t *)efx_heap_at(at->heap, r->ref) + sizeof(struct piece);
            uint32_t next = r->n == r->cap ? r->first : r->first + r->n;
            __builtin_prefetch(
                rows + (size_t)(next < r->cap ? next : next - r->cap) * w->ring.row_bytes, 1);
        }
    }
}

/* The row goes in; *left: the oldest went out before. */
static inline enum efx_rc pass(struct win_length *w, const struct efx_states *at, uint32_t stamp,
                               const struct efx_batch *b, uint32_t row, uint32_t id, struct left *l,
                               bool *left)
{
    struct efx_heap *heap = at->heap;
    struct ring *r = efx_state_at(at, id);
    if (!efx_keyed_is_touched((struct efx_entry *)(void *)((uint8_t *)r - at->off), stamp)) {
        efx_keyed_touch(w->copies.table, id);
    }
    *left = r->n == w->n;
    if (*left) {
        row_take(w, heap, r, l);
    } else if (r->n == r->cap) {
        EFX_RET(ring_grow(w, heap, r));
    }
    EFX_RET(row_put(w, heap, b, row, row_of(heap, r, r->n, w->ring.row_bytes)));
    r->n++;
    return EFX_OK;
}

enum efx_rc efx_window__ring_arrive(struct win_length *w, const struct efx_step *step,
                                    struct efx_rows *rows, struct efx_changes *out)
{
    struct efx_ctx *ctx = w->how.ctx;
    uint32_t until = rows->until - rows->from < CHUNK ? rows->until : rows->from + CHUNK;
    uint32_t *at = efx_scratch(ctx, CHUNK * sizeof *at);
    uint32_t *id = efx_scratch(ctx, CHUNK * sizeof *id);
    uint32_t n = efx_rows_list(&(struct efx_rows){rows->b, rows->from, until}, at);
    const struct efx_col *copy = &rows->b->cols[w->how.copy_col];
    struct win_list list = {.out = out};
    struct left l;
    out->n = 0;
    left_begin(w, &l);
    EFX_RET(find(w, rows->b, at, n, id));
    const struct efx_states states = efx_keyed_states(w->copies.table, 0);
    const uint32_t stamp = efx_keyed_stamp(w->copies.table);
    for (uint32_t i = 0; i < n; i++) {
        bool left;
        EFX_RET(pass(w, &states, stamp, rows->b, at[i], id[i], &l, &left));
        for (uint32_t k = left ? 0 : 1; k < 2; k++) {
            struct efx_change *c = win_change(&list, k == 0 ? EFX_ROW_EXPIRED : EFX_ROW_CURRENT,
                                              efx_op_row_moment(step, rows->b, at[i]),
                                              efx_batch_clk_ms(rows->b, at[i]));
            c->turn = efx_window__turn(step, rows->b, at[i]);
            c->row = k == 0 ? l.b.n_rows - 1 : at[i];
            c->arrives = (uint8_t)k;
            c->copy = ((const uint32_t *)copy[0].data)[at[i]];
            c->birth = ((const int64_t *)copy[1].data)[at[i]];
        }
    }
    out->left = left_end(w, &l);
    rows->from = until;
    return rows->from < rows->until ? EFX_AGAIN : EFX_OK;
}

enum efx_rc efx_window__ring_slide(struct win_length *w, const struct efx_step *step,
                                   struct efx_rows *rows, struct efx_slide *out)
{
    struct efx_ctx *ctx = w->how.ctx;
    uint32_t until = rows->until - rows->from < CHUNK ? rows->until : rows->from + CHUNK;
    uint32_t *at = efx_scratch(ctx, CHUNK * sizeof *at);
    uint32_t *id = efx_scratch(ctx, CHUNK * sizeof *id);
    uint32_t n = efx_rows_list(&(struct efx_rows){rows->b, rows->from, until}, at);
    const uint32_t *group =
        w->how.group_col != EFX_NO_COL ? rows->b->cols[w->how.group_col].data : NULL;
    struct left l;
    uint32_t k = 0;
    (void)step;
    left_begin(w, &l);
    EFX_RET(find(w, rows->b, at, n, id));
    const struct efx_states states = efx_keyed_states(w->copies.table, 0);
    const uint32_t stamp = efx_keyed_stamp(w->copies.table);
    for (uint32_t i = 0; i < n; i++) {
        bool left;
        fetch_ahead(w, &states, id, n, i);
        EFX_RET(pass(w, &states, stamp, rows->b, at[i], id[i], &l, &left));
        uint32_t g = group != NULL ? group[at[i]] : 0;
        if (left && out->may_pair) {
            out->leaves[k / 64] |= (uint64_t)1 << k % 64;
        } else if (left) {
            out->leaves[k / 64] |= (uint64_t)1 << k % 64;
            out->id[k] = g;
            out->row[k++] = l.b.n_rows - 1;
        }
        out->id[k] = g;
        out->row[k++] = at[i];
    }
    out->n = k;
    out->pairs = out->may_pair; /* both rows of one are of one copy, so of one group */
    out->left = left_end(w, &l);
    rows->from = until;
    return rows->from < rows->until ? EFX_AGAIN : EFX_OK;
}

/* *from: copy id :32 | place in its ring :32. Rows stay where they are. */
enum efx_rc efx_window__ring_content(struct win_length *w, uint64_t *from, struct efx_changes *out)
{
    struct efx_heap *heap = efx_keyed_heap(w->copies.table);
    struct win_list list = {.out = out};
    struct left l;
    out->n = 0;
    left_begin(w, &l);
    uint32_t id = (uint32_t)(*from >> 32), i = (uint32_t)*from;
    for (; id < efx_keyed_n_ids(w->copies.table); id++, i = 0) {
        if (!efx_keyed_is_live(w->copies.table, id)) {
            continue;
        }
        const struct ring *r = win_copy_state(&w->copies, id);
        for (; i < r->n; i++) {
            if (l.b.n_rows == CHUNK) {
                *from = (uint64_t)id << 32 | i;
                out->left = left_end(w, &l);
                return EFX_AGAIN;
            }
            uint32_t k = l.b.n_rows;
            row_show(w, heap, row_at(heap, r, i), &l);
            struct efx_change *c = win_change(&list, EFX_ROW_CURRENT, 0, l.ts_ms[k]);
            c->row = k;
            c->birth = efx_window__birth(&w->copies, id);
        }
    }
    *from = (uint64_t)id << 32;
    out->left = left_end(w, &l);
    return EFX_OK;
}
