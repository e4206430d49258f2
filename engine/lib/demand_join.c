/* Two tables side by side: pairs are collected, judged and put out a batch at a time.
 *
 *   left rows       right rows, by key or all of them     slots of a batch
 *   ─────────       ─────────────────────────────────     ────────────────────────────
 *   a ─ key ─► ends ─► link 3 ─► link 7                   a·3  a·7  a·—  b·—  c·1  c·—
 *                                                                   ▲ last of a row: stands for "no
 *   matched bits over links: what RIGHT and FULL add            partner", if the row is preserved
 *
 * Whether a left row has found a partner is carried from slot to slot, over batches too.
 *
 *   Order   the left table's rows, for each the right one's in their order; then, of RIGHT and
 *           FULL, right rows without a partner
 *   NULL    a key with a NULL meets nobody
 *   Limits  2^32 - 2 rows of the right table
 */
#include "demand.h"

static const uint32_t NOBODY = UINT32_MAX;

struct link { /* a row of the right table, by number */
    uint32_t batch, row;
    uint32_t next; /* of its key; NOBODY = it is the last */
};

struct ends { /* state of a key: numbers + 1 */
    uint32_t first, last;
};

struct pairs {
    struct demand *d;
    const struct efx_pdemand_join *j;
    const struct efx_edge *into;
    uint32_t n_right_cols;
    const enum efx_type *right_types, *left_types;
    /* The right table. */
    struct efx_batch *right; /* [n_batches] */
    uint32_t n_batches, n_batches_max;
    struct link *link; /* [n_links] rows that are there */
    uint32_t n_links, n_links_max;
    uint64_t *matched;       /* bits over links */
    struct efx_keyed *keyed; /* NULL: without equality */
    /* The batch that is being made. */
    const struct efx_batch *left;
    uint32_t n;
    uint32_t *row;   /* [EFX_BATCH_ROWS_MAX] of left; NOBODY = none */
    uint32_t *of;    /* link; NOBODY = none */
    uint32_t judged; /* left row whose partners are counted */
    bool has_partner;
};

static bool keeps_left(const struct efx_pdemand_join *j)
{
    return j->kind == EFX_AST_JOIN_LEFT || j->kind == EFX_AST_JOIN_FULL;
}

static bool keeps_right(const struct efx_pdemand_join *j)
{
    return j->kind == EFX_AST_JOIN_RIGHT || j->kind == EFX_AST_JOIN_FULL;
}

/* ---- putting out ---- */

/* A column of the slots: places at[i] of the batch that holds them. */
static struct efx_col gather(const struct pairs *p, uint32_t c, bool right)
{
    struct efx_ctx *ctx = &p->d->ctx;
    enum efx_type type = right ? p->right_types[c] : p->left_types[c];
    void *data = efx_scratch(ctx, p->n * efx_type_width(type));
    uint64_t *valid = efx_scratch_zero(ctx, efx_words(p->n) * sizeof *valid);
    for (uint32_t i = 0; i < p->n; i++) {
        if ((right ? p->of[i] : p->row[i]) == NOBODY) {
            continue;
        }
        const struct link *l = right ? &p->link[p->of[i]] : NULL;
        const struct efx_col *from = right ? &p->right[l->batch].cols[c] : &p->left->cols[c];
        uint32_t row = right ? l->row : p->row[i];
        if (efx_bit(from->valid, row)) {
            efx_col_copy_slot(data, i, from, row);
            valid[i / 64] |= (uint64_t)1 << i % 64;
        }
    }
    return (struct efx_col){type, data, valid};
}

/* Pairs that match, among those of two rows. */
static enum efx_rc judge(const struct pairs *p, const struct efx_batch *b, uint64_t *yes)
{
    struct efx_ctx *ctx = &p->d->ctx;
    uint32_t n_words = efx_words(p->n);
    uint64_t *ask = efx_scratch_zero(ctx, n_words * sizeof *ask);
    for (uint32_t i = 0; i < p->n; i++) {
        efx_bit_put(ask, i, p->row[i] != NOBODY && p->of[i] != NOBODY);
    }
    if (p->j->rest == NULL) {
        memcpy(yes, ask, n_words * sizeof *yes);
        return EFX_OK;
    }
    struct efx_batch asked = *b;
    asked.sel = ask;
    struct efx_rows rows = efx_rows_all(&asked);
    struct efx_fails fails = {efx_scratch_zero(ctx, n_words * sizeof(uint64_t)),
                              efx_scratch(ctx, p->n * sizeof(uint16_t)), false};
    efx_expr_filter(p->j->rest, ctx, p->d->step, &rows, yes, &fails);
    for (uint32_t i = 0; fails.any && i < p->n; i++) {
        if (efx_bit(fails.failed, i)) {
            return efx_demand__data_error(p->d, fails.code[i]);
        }
    }
    return EFX_OK;
}

/* Slots without a partner: the last of a left row, if no other matched. */
static void settle(struct pairs *p, uint64_t *yes)
{
    for (uint32_t i = 0; i < p->n; i++) {
        if (p->row[i] == NOBODY) {
            efx_bit_put(yes, i, true);
            continue;
        }
        if (p->row[i] != p->judged) {
            p->judged = p->row[i];
            p->has_partner = false;
        }
        if (p->of[i] == NOBODY) {
            efx_bit_put(yes, i, !p->has_partner);
        } else if (efx_bit(yes, i)) {
            p->has_partner = true;
            efx_bit_put(p->matched, p->of[i], true);
        }
    }
}

static enum efx_rc put_out(struct pairs *p)
{
    struct efx_ctx *ctx = &p->d->ctx;
    uint32_t n_left = p->j->n_left, n_cols = n_left + p->n_right_cols;
    struct efx_col *cols = efx_scratch(ctx, (n_cols + 1) * sizeof *cols);
    uint64_t *yes = efx_scratch_zero(ctx, efx_words(p->n) * sizeof *yes);
    for (uint32_t c = 0; c < n_cols; c++) {
        cols[c] = gather(p, c < n_left ? c : c - n_left, c >= n_left);
    }
    struct efx_batch b = efx_demand__batch(p->d, cols, n_cols, p->n);
    EFX_RET(judge(p, &b, yes));
    settle(p, yes);
    b.sel = yes;
    struct efx_rows rows = efx_rows_all(&b);
    return efx_rows_count(&rows) == 0 ? EFX_OK : efx_demand__push(p->d, p->into, &b);
}

static enum efx_rc flush(struct pairs *p)
{
    struct efx_ctx_mark mark = efx_ctx_begin(&p->d->ctx);
    enum efx_rc rc = p->n > 0 ? put_out(p) : EFX_OK;
    efx_ctx_end(&p->d->ctx, mark);
    p->n = 0;
    return rc;
}

static enum efx_rc slot_add(struct pairs *p, uint32_t row, uint32_t of)
{
    if (p->n == EFX_BATCH_ROWS_MAX) {
        EFX_RET(flush(p));
    }
    p->row[p->n] = row;
    p->of[p->n++] = of;
    return EFX_OK;
}

/* ---- the right table ---- */

static void *grown(struct efx_arena *arena, const void *old, uint32_t n, uint32_t *n_max,
                   size_t bytes)
{
    uint32_t max = *n_max == 0 ? 64 : *n_max * 2;
    void *more = efx_arena_alloc(arena, max, bytes, 16);
    if (more != NULL && n > 0) {
        memcpy(more, old, n * bytes);
    }
    *n_max = max;
    return more;
}

static enum efx_rc right_add(struct pairs *p, const struct efx_batch *b)
{
    struct efx_arena *arena = &p->d->arena;
    if (p->n_batches == p->n_batches_max) {
        p->right = grown(arena, p->right, p->n_batches, &p->n_batches_max, sizeof *p->right);
        if (p->right == NULL) {
            return EFX_ENOMEM;
        }
    }
    p->right[p->n_batches] = *b;
    p->right[p->n_batches].ts_ms = p->right[p->n_batches].clk_ms = p->d->clock_ms;
    for (uint32_t i = 0; i < b->n_rows; i++) {
        if (!efx_bit(b->sel, i)) {
            continue;
        }
        if (p->n_links == p->n_links_max) {
            p->link = grown(arena, p->link, p->n_links, &p->n_links_max, sizeof *p->link);
            if (p->link == NULL) {
                return EFX_ENOMEM;
            }
        }
        p->link[p->n_links++] = (struct link){p->n_batches, i, NOBODY};
    }
    p->n_batches++;
    return EFX_OK;
}

/* Key columns of a batch; rows without a NULL in them: their places, and how many. */
static enum efx_rc keys_of(struct pairs *p, uint32_t side, const struct efx_batch *b,
                           struct efx_col *keys, uint32_t *at, uint32_t *n)
{
    struct efx_ctx *ctx = &p->d->ctx;
    struct efx_rows rows = efx_rows_all(b);
    struct efx_fails fails = {efx_scratch_zero(ctx, efx_words(b->n_rows) * sizeof(uint64_t)),
                              efx_scratch(ctx, b->n_rows * sizeof(uint16_t)), false};
    for (uint32_t k = 0; k < p->j->n_eq; k++) {
        efx_expr_eval(p->j->keys[side][k], ctx, p->d->step, &rows, &keys[k], &fails);
    }
    *n = 0;
    for (uint32_t i = 0; i < b->n_rows; i++) {
        bool whole = efx_bit(b->sel, i);
        if (whole && fails.any && efx_bit(fails.failed, i)) {
            return efx_demand__data_error(p->d, fails.code[i]);
        }
        for (uint32_t k = 0; k < p->j->n_eq; k++) {
            whole = whole && efx_bit(keys[k].valid, i);
        }
        if (whole) {
            at[(*n)++] = i;
        }
    }
    return EFX_OK;
}

static enum efx_rc index_batch(struct pairs *p, uint32_t batch, uint32_t *link)
{
    struct efx_ctx *ctx = &p->d->ctx;
    const struct efx_batch *b = &p->right[batch];
    struct efx_col *keys = efx_scratch(ctx, p->j->n_eq * sizeof *keys);
    uint32_t *at = efx_scratch(ctx, b->n_rows * sizeof *at);
    uint32_t *id = efx_scratch(ctx, b->n_rows * sizeof *id);
    uint32_t n, n_new;
    EFX_RET(keys_of(p, 1, b, keys, at, &n));
    EFX_RET(efx_keyed_ids(p->keyed, keys, at, n, id, &n_new));
    for (uint32_t i = 0; i < n; i++) {
        while (p->link[*link].batch < batch || p->link[*link].row < at[i]) {
            ++*link;
        }
        struct ends *e = efx_keyed_state(p->keyed, id[i], 0);
        if (e->last == 0) {
            e->first = *link + 1;
        } else {
            p->link[e->last - 1].next = *link;
        }
        e->last = *link + 1;
    }
    return EFX_OK;
}

static enum efx_rc index_make(struct pairs *p, struct efx_keyed_conf *conf)
{
    static const struct efx_keyed_state state = {.bytes = sizeof(struct ends)};
    *conf = (struct efx_keyed_conf){.n_cells = p->j->n_eq,
                                    .types = p->j->types,
                                    .nullable = true,
                                    .n_states = 1,
                                    .states = &state};
    EFX_RET(efx_keyed_create(&efx_mem_libc, &p->d->ctx, conf, &p->keyed));
    enum efx_rc rc = EFX_OK;
    uint32_t link = 0;
    for (uint32_t i = 0; rc == EFX_OK && i < p->n_batches; i++) {
        struct efx_ctx_mark mark = efx_ctx_begin(&p->d->ctx);
        rc = index_batch(p, i, &link);
        efx_ctx_end(&p->d->ctx, mark);
    }
    return rc;
}

/* ---- the left table ---- */

static enum efx_rc left_row(struct pairs *p, uint32_t row, uint32_t id)
{
    if (p->j->n_eq == 0) {
        for (uint32_t k = 0; k < p->n_links; k++) {
            EFX_RET(slot_add(p, row, k));
        }
    } else if (id != EFX_KEYED_DEAD) {
        const struct ends *e = efx_keyed_state(p->keyed, id, 0);
        for (uint32_t k = e->first - 1; k != NOBODY; k = p->link[k].next) {
            EFX_RET(slot_add(p, row, k));
        }
    }
    return keeps_left(p->j) ? slot_add(p, row, NOBODY) : EFX_OK;
}

static enum efx_rc left_batch(struct pairs *p, const struct efx_batch *b)
{
    struct efx_ctx *ctx = &p->d->ctx;
    uint32_t *id = efx_scratch(ctx, b->n_rows * sizeof *id);
    memset(id, 0xFF, b->n_rows * sizeof *id); /* EFX_KEYED_DEAD */
    if (p->j->n_eq > 0) {
        struct efx_col *keys = efx_scratch(ctx, p->j->n_eq * sizeof *keys);
        uint32_t *at = efx_scratch(ctx, b->n_rows * sizeof *at);
        uint32_t *found = efx_scratch(ctx, b->n_rows * sizeof *found);
        uint32_t n;
        EFX_RET(keys_of(p, 0, b, keys, at, &n));
        efx_keyed_find(p->keyed, keys, at, n, found);
        for (uint32_t i = 0; i < n; i++) {
            id[at[i]] = found[i];
        }
    }
    p->left = b;
    p->judged = NOBODY;
    for (uint32_t i = 0; i < b->n_rows; i++) {
        if (efx_bit(b->sel, i)) {
            EFX_RET(left_row(p, i, id[i]));
        }
    }
    return flush(p);
}

static enum efx_rc each_batch(struct pairs *p, const struct efx_table_view *view)
{
    enum efx_rc rc = EFX_OK;
    for (uint64_t from = 0; rc == EFX_OK;) {
        struct efx_ctx_mark mark = efx_ctx_begin(&p->d->ctx);
        struct efx_batch b;
        bool more = view->scan(view, &p->d->ctx, &from, &b);
        if (more) {
            b.ts_ms = b.clk_ms = p->d->clock_ms;
            rc = left_batch(p, &b);
        }
        efx_ctx_end(&p->d->ctx, mark);
        if (!more) {
            break;
        }
    }
    return rc;
}

static enum efx_rc unmatched_right(struct pairs *p)
{
    for (uint32_t k = 0; k < p->n_links; k++) {
        if (!efx_bit(p->matched, k)) {
            EFX_RET(slot_add(p, NOBODY, k));
        }
    }
    return flush(p);
}

static const enum efx_type *types_of(struct demand *d, const struct efx_schema *s)
{
    enum efx_type *types = EFX_NEW_N(&d->arena, enum efx_type, s->n_cols + 1);
    for (uint32_t c = 0; types != NULL && c < s->n_cols; c++) {
        types[c] = s->cols[c].type;
    }
    return types;
}

static enum efx_rc pairs_init(struct pairs *p)
{
    struct demand *d = p->d;
    const struct efx_binput *in = d->bound->stmt->inputs;
    p->n_right_cols = in[1].object->schema.n_cols;
    p->left_types = types_of(d, &in[0].object->schema);
    p->right_types = types_of(d, &in[1].object->schema);
    p->row = EFX_NEW_N(&d->arena, uint32_t, EFX_BATCH_ROWS_MAX);
    p->of = EFX_NEW_N(&d->arena, uint32_t, EFX_BATCH_ROWS_MAX);
    if (p->left_types == NULL || p->right_types == NULL || p->row == NULL || p->of == NULL) {
        return EFX_ENOMEM;
    }
    const struct efx_table_view *right = d->tables[in[1].object->id];
    struct efx_batch b;
    for (uint64_t from = 0; right->scan(right, &d->ctx, &from, &b);) {
        EFX_RET(right_add(p, &b));
    }
    p->matched = EFX_NEW_N(&d->arena, uint64_t, p->n_links / 64 + 1);
    return p->matched == NULL ? EFX_ENOMEM : EFX_OK;
}

enum efx_rc efx_demand__join(struct demand *d, const struct efx_pdemand_join *j,
                             const struct efx_edge *into)
{
    struct pairs p = {.d = d, .j = j, .into = into};
    struct efx_keyed_conf conf;
    struct efx_ctx_mark mark = efx_ctx_begin(&d->ctx); /* the right table's views stay on it */
    enum efx_rc rc = pairs_init(&p);
    if (rc == EFX_OK && j->n_eq > 0) {
        rc = index_make(&p, &conf);
    }
    if (rc == EFX_OK) {
        rc = each_batch(&p, d->tables[d->bound->stmt->inputs[0].object->id]);
    }
    if (rc == EFX_OK && keeps_right(j)) {
        rc = unmatched_right(&p);
    }
    if (p.keyed != NULL) {
        efx_keyed_destroy(&p.keyed);
    }
    efx_ctx_end(&d->ctx, mark);
    return rc;
}
