#include "rows.h"

/* ---- copies ---- */

static bool dense_copy(struct efx_arena *a, const struct efx_rows *rows, const uint32_t *at,
                       uint32_t n, const void *from, uint32_t width, void **out)
{
    *out = NULL;
    if (from == NULL) {
        return true;
    }
    uint8_t *to = efx_arena_bytes(a, (size_t)n * width);
    if (to == NULL) {
        return false;
    }
    if (at == NULL) {
        memcpy(to, (const uint8_t *)from + (size_t)rows->from * width, (size_t)n * width);
    } else {
        struct efx_col c = {.type = width == 1   ? EFX_TYPE_BOOL
                                    : width == 2 ? EFX_TYPE_NONE
                                    : width == 4 ? EFX_TYPE_INT
                                    : width == 8 ? EFX_TYPE_LONG
                                                 : EFX_TYPE_STRING,
                            .data = from};
        for (uint32_t i = 0; i < n; i++) {
            if (width == 2) {
                memcpy(to + i * 2, (const uint8_t *)from + at[i] * 2, 2);
            } else {
                efx_col_copy_slot(to, i, &c, at[i]);
            }
        }
    }
    *out = to;
    return true;
}

static bool copy_bits(struct efx_arena *a, const uint64_t *from, uint32_t first, const uint32_t *at,
                      uint32_t n, uint64_t **out)
{
    *out = NULL;
    if (from == NULL) {
        return true;
    }
    uint64_t *to = efx_arena_bytes(a, efx_words(n) * sizeof *to);
    if (to == NULL) {
        return false;
    }
    memset(to, 0, efx_words(n) * sizeof *to);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t row = at != NULL ? at[i] : first + i;
        to[i / 64] |= (uint64_t)efx_bit(from, row) << (i % 64);
    }
    *out = to;
    return true;
}

/* Long texts move into the arena. */
static bool own_texts(struct efx_arena *a, struct efx_col *c, uint32_t n)
{
    union {
        const void *shared;
        struct efx_cell *own; /* the fresh copy is ours to change */
    } cells = {.shared = c->data};
    for (uint32_t i = 0; i < n; i++) {
        struct efx_cell *cell = &cells.own[i];
        if (!efx_bit(c->valid, i) || cell->len <= EFX_CELL_INLINE) {
            continue;
        }
        void *copy = efx_arena_bytes(a, cell->len);
        if (copy == NULL) {
            return false;
        }
        memcpy(copy, cell->ptr, cell->len);
        cell->ptr = copy;
    }
    return true;
}

static bool copy_cols(struct efx_arena *a, const struct efx_rows *rows, const uint32_t *at,
                      uint32_t n, bool stable, struct efx_batch *to)
{
    const struct efx_batch *b = rows->b;
    uint32_t n_cols = b->n_cols + b->n_hidden;
    struct efx_col *cols = efx_arena_alloc(a, n_cols + 1, sizeof *cols, 16);
    if (cols == NULL) {
        return false;
    }
    for (uint32_t c = 0; c < n_cols; c++) {
        if (stable && at == NULL && rows->from == 0) {
            cols[c] = b->cols[c];
            continue;
        }
        void *data;
        uint64_t *valid;
        if (!dense_copy(a, rows, at, n, b->cols[c].data, efx_type_width(b->cols[c].type), &data) ||
            !copy_bits(a, b->cols[c].valid, rows->from, at, n, &valid)) {
            return false;
        }
        cols[c] = (struct efx_col){b->cols[c].type, data, valid};
        if (efx_type_is_cell(cols[c].type) && !stable && !own_texts(a, &cols[c], n)) {
            return false;
        }
    }
    to->cols = cols;
    return true;
}

enum efx_rc efx_rows__add(struct rows_list *l, struct efx_arena *arena, const struct efx_rows *rows,
                          bool stable)
{
    const struct efx_batch *b = rows->b;
    uint32_t list[EFX_BATCH_ROWS_MAX];
    const uint32_t *at = NULL;
    uint32_t n = rows->until - rows->from;
    if (!efx_rows_dense(rows)) {
        n = efx_rows_list(rows, list);
        at = list;
    }
    if (n == 0) {
        return EFX_OK;
    }
    struct rows_chunk *k = efx_arena_alloc(arena, 1, sizeof *k, 16);
    if (k == NULL) {
        return EFX_ENOMEM;
    }
    k->b = (struct efx_batch){.n_rows = n, .n_cols = b->n_cols, .n_hidden = b->n_hidden};
    const bool share = stable && at == NULL && rows->from == 0;
    void *ts = NULL, *clk = NULL, *moment = NULL, *kind, *sub, *code, *number;
    uint64_t *set_end;
    if (!copy_cols(arena, rows, at, n, stable, &k->b) ||
        (!share && (!dense_copy(arena, rows, at, n, b->ts_ms, 8, &ts) ||
                    !dense_copy(arena, rows, at, n, b->clk_ms, 8, &clk) ||
                    !dense_copy(arena, rows, at, n, b->moment, 8, &moment))) ||
        !dense_copy(arena, rows, at, n, b->kind, 1, &kind) ||
        !dense_copy(arena, rows, at, n, b->sub, 8, &sub) ||
        !dense_copy(arena, rows, at, n, b->code, 2, &code) ||
        !dense_copy(arena, rows, at, n, b->number, 8, &number) ||
        !copy_bits(arena, b->set_end, rows->from, at, n, &set_end)) {
        return EFX_ENOMEM;
    }
    k->b.ts_ms = share ? b->ts_ms : ts;
    k->b.clk_ms = share ? b->clk_ms : clk;
    k->b.kind = kind;
    k->b.moment = share ? b->moment : moment;
    k->b.sub = sub;
    k->b.code = code;
    k->b.set_end = set_end;
    k->b.number = number;
    if (l->last != NULL) {
        l->last->next = k;
    } else {
        l->first = k;
    }
    l->last = k;
    l->n_rows += n;
    return EFX_OK;
}

/* ---- merge ---- */

enum { VIEW_ROWS = 64 };

struct cursor {
    const struct rows_chunk *chunk;
    uint32_t row;
};

struct merging {
    const struct rows_merge *m;
    struct cursor *at;
    /* rows that were gathered and are not handed over yet */
    uint32_t n_picked, last_list;
    struct efx_rows_pick {
        const struct efx_batch *b;
        uint32_t row;
    } * picked;
};

static uint64_t sub_of(const struct cursor *c)
{
    return c->chunk->b.sub != NULL ? c->chunk->b.sub[c->row] : 0;
}

static bool comes_before(const struct merging *g, uint32_t x, uint32_t y)
{
    const struct cursor *a = &g->at[x], *b = &g->at[y];
    efx_moment ma = a->chunk->b.moment[a->row], mb = b->chunk->b.moment[b->row];
    if (ma != mb) {
        return ma < mb;
    }
    if (g->m->rank != NULL) {
        return g->m->rank[x] < g->m->rank[y];
    }
    uint64_t sa = sub_of(a), sb = sub_of(b);
    return sa != sb ? sa < sb : x < y;
}

static void gather_col(struct merging *g, uint32_t c, struct efx_col *out)
{
    uint32_t n = g->n_picked;
    enum efx_type type = g->picked[0].b->cols[c].type;
    void *data = efx_scratch(g->m->ctx, n * efx_type_width(type));
    uint64_t *valid = efx_scratch(g->m->ctx, efx_words(n) * sizeof *valid);
    memset(valid, 0, efx_words(n) * sizeof *valid);
    bool nulls = false;
    for (uint32_t i = 0; i < n; i++) {
        const struct efx_col *from = &g->picked[i].b->cols[c];
        efx_col_copy_slot(data, i, from, g->picked[i].row);
        bool there = efx_bit(from->valid, g->picked[i].row);
        valid[i / 64] |= (uint64_t)there << (i % 64);
        nulls = nulls || !there;
    }
    *out = (struct efx_col){type, data, nulls ? valid : NULL};
}

static void gather_rest(struct merging *g, struct efx_batch *b)
{
    struct efx_ctx *ctx = g->m->ctx;
    uint32_t n = g->n_picked;
    int64_t *ts = efx_scratch(ctx, n * 8), *clk = efx_scratch(ctx, n * 8);
    uint8_t *kind = efx_scratch(ctx, n);
    efx_moment *moment = efx_scratch(ctx, n * 8);
    uint64_t *sub = efx_scratch(ctx, n * 8), *number = efx_scratch(ctx, n * 8);
    uint64_t *set_end = efx_scratch(ctx, efx_words(n) * sizeof *set_end);
    bool kinds = false, subs = false, numbers = false, sets = false;
    memset(set_end, 0, efx_words(n) * sizeof *set_end);
    for (uint32_t i = 0; i < n; i++) {
        const struct efx_batch *from = g->picked[i].b;
        uint32_t row = g->picked[i].row;
        ts[i] = from->ts_ms[row];
        clk[i] = efx_batch_clk_ms(from, row);
        kind[i] = efx_batch_kind(from, row);
        moment[i] = from->moment[row];
        sub[i] = from->sub != NULL ? from->sub[row] : 0;
        number[i] = from->number != NULL ? from->number[row] : 0;
        numbers = numbers || from->number != NULL;
        if (from->set_end != NULL && efx_bit(from->set_end, row)) {
            set_end[i / 64] |= (uint64_t)1 << i % 64;
        }
        sets = sets || from->set_end != NULL;
        kinds = kinds || from->kind != NULL;
        subs = subs || from->sub != NULL;
    }
    b->ts_ms = ts;
    b->clk_ms = clk;
    b->kind = kinds ? kind : NULL;
    b->moment = moment;
    b->sub = subs ? sub : NULL;
    b->number = numbers ? number : NULL;
    b->set_end = sets ? set_end : NULL;
}

static enum efx_rc hand_over(struct merging *g)
{
    if (g->n_picked == 0) {
        return EFX_OK;
    }
    struct efx_ctx_mark mark = efx_ctx_begin(g->m->ctx);
    const struct efx_batch *like = g->picked[0].b;
    uint32_t n_cols = like->n_cols + like->n_hidden;
    struct efx_col *cols = efx_scratch(g->m->ctx, (n_cols + 1) * sizeof *cols);
    for (uint32_t c = 0; c < n_cols; c++) {
        gather_col(g, c, &cols[c]);
    }
    struct efx_batch b = {
        .n_rows = g->n_picked, .n_cols = like->n_cols, .n_hidden = like->n_hidden, .cols = cols};
    gather_rest(g, &b);
    g->n_picked = 0;
    struct efx_rows rows = efx_rows_all(&b);
    enum efx_rc rc = g->m->out(g->m->arg, 0, &rows);
    efx_ctx_end(g->m->ctx, mark);
    return rc;
}

static enum efx_rc take_run(struct merging *g, uint32_t list, const struct efx_batch *b,
                            uint32_t from, uint32_t until)
{
    if (!g->m->gather) {
        struct efx_rows rows = {b, from, until};
        return g->m->out(g->m->arg, list, &rows);
    }
    if (until - from >= VIEW_ROWS) {
        EFX_RET(hand_over(g));
        struct efx_rows rows = {b, from, until};
        return g->m->out(g->m->arg, list, &rows);
    }
    for (uint32_t i = from; i < until; i++) {
        if (g->n_picked == EFX_BATCH_ROWS_MAX) {
            EFX_RET(hand_over(g));
        }
        g->picked[g->n_picked].b = b;
        g->picked[g->n_picked++].row = i;
    }
    return EFX_OK;
}

static const uint32_t NO_LIST = UINT32_MAX;

/* The list, other than `but`, whose next row comes first; NO_LIST: all are done. */
static uint32_t least(const struct merging *g, uint32_t but)
{
    uint32_t best = NO_LIST;
    for (uint32_t i = 0; i < g->m->n; i++) {
        if (i != but && g->at[i].chunk != NULL && (best == NO_LIST || comes_before(g, i, best))) {
            best = i;
        }
    }
    return best;
}

/* Between lists of one place the lower number comes first. */
static bool goes_on(const struct merging *g, uint32_t list, uint32_t next)
{
    return list < next ? !comes_before(g, next, list) : comes_before(g, list, next);
}

static enum efx_rc merge(struct merging *g)
{
    for (uint32_t list = least(g, NO_LIST); list != NO_LIST; list = least(g, NO_LIST)) {
        uint32_t next = least(g, list); /* the others stand still meanwhile */
        struct cursor *c = &g->at[list];
        const struct efx_batch *b = &c->chunk->b;
        uint32_t from = c->row;
        if (next == NO_LIST) {
            c->row = b->n_rows;
        } else {
            do {
                c->row++;
            } while (c->row < b->n_rows && goes_on(g, list, next));
        }
        uint32_t until = c->row;
        if (c->row == b->n_rows) {
            c->chunk = c->chunk->next;
            c->row = 0;
        }
        EFX_RET(take_run(g, list, b, from, until));
    }
    return hand_over(g);
}

enum efx_rc efx_rows__merge(const struct rows_merge *m)
{
    struct efx_ctx_mark mark = efx_ctx_begin(m->ctx);
    struct merging g = {.m = m};
    g.at = efx_scratch(m->ctx, (m->n + 1) * sizeof *g.at);
    g.picked = efx_scratch(m->ctx, EFX_BATCH_ROWS_MAX * sizeof *g.picked);
    for (uint32_t i = 0; i < m->n; i++) {
        g.at[i] = (struct cursor){m->lists[i].first, 0};
    }
    enum efx_rc rc = merge(&g);
    efx_ctx_end(m->ctx, mark);
    return rc;
}
