/* RUN: no window. SLIDE: a sliding window of which current rows only are wanted. Both give a row
 * for a row, at the same place: columns of the input are passed by pointer, only aggregates are
 * made.
 *
 *   places    0  1  2  3           SLIDE ops   −a +0 −b +1 +2 …     row of op ─► its place
 *   env       input columns │ aggregate values at the rows' places
 *
 *   runs      −a −a −b −c +0 +1 +2 +3 −d …    where rows of one time come and go together, ops of
 *             one direction are handed over at once: no kernel looks at directions
 *
 *   RESET     (a named window's) all groups go back to empty
 *   TTL       a group met later than its time to live after its last event starts anew
 */
#include "select.h"

enum { SWEEP_ENTRIES = 64, STRETCH_ROWS = 512, RUN_MIN = 8 };

struct values_at {       /* aggregates' values, by place */
    struct efx_col *col; /* [n_aggs] NULL bits: set until a row says otherwise */
    bool *has_null;      /* [n_aggs] */
    struct efx_fails fails;
};

static void values_at_make(struct op_select *self, const struct efx_rows *rows, struct values_at *v)
{
    struct efx_ctx *ctx = self->base.ctx;
    uint32_t w0 = rows->from / 64, w1 = efx_words(rows->until);
    v->col = efx_scratch(ctx, (self->conf->n_aggs + 1) * sizeof *v->col);
    v->has_null = efx_scratch_zero(ctx, (self->conf->n_aggs + 1) * sizeof *v->has_null);
    for (uint32_t k = 0; k < self->conf->n_aggs; k++) {
        enum efx_type type = self->aggs[k].vt->out;
        uint64_t *valid = efx_scratch(ctx, (w1 + 1) * sizeof *valid);
        memset(valid + w0, 0xFF, (w1 - w0) * sizeof *valid);
        v->col[k] =
            (struct efx_col){type, efx_scratch(ctx, rows->until * efx_type_width(type)), valid};
    }
    v->fails = (struct efx_fails){efx_scratch(ctx, (w1 + 1) * 8), efx_scratch(ctx, rows->until * 2),
                                  false};
    memset(v->fails.failed + w0, 0, (w1 - w0) * sizeof *v->fails.failed);
}

static bool all_valid(const uint64_t *valid, uint32_t n)
{
    for (uint32_t w = 0; w < efx_words(n); w++) {
        if ((valid[w] & efx_word(NULL, w, n)) != efx_word(NULL, w, n)) {
            return false;
        }
    }
    return true;
}

#define SCATTER(T)                                                                                 \
    for (uint32_t i = 0; i < n; i++) {                                                             \
        ((T *)data)[row[op[i]]] = ((const T *)src)[op[i]];                                         \
    }

static void scatter(void *data, const void *src, enum efx_type type, const uint32_t *row,
                    const uint32_t *op, uint32_t n)
{
    switch (efx_type_width(type)) {
    case 1: SCATTER(uint8_t) break;
    case 4: SCATTER(uint32_t) break;
    case 8: SCATTER(uint64_t) break;
    default: SCATTER(struct efx_cell) break;
    }
}

/* Values by op to values by place, of ops that enter (leaves NULL: all). */
static void values_put(struct op_select *self, const struct select_values *from, uint32_t n,
                       const uint32_t *row, const uint64_t *leaves, struct values_at *to)
{
    uint32_t *op = efx_scratch(self->base.ctx, (n + 1) * sizeof *op), n_in = 0;
    for (uint32_t i = 0; i < n; i++) {
        op[n_in] = i;
        n_in += leaves == NULL || !efx_bit(leaves, i);
    }
    for (uint32_t k = 0; k < self->conf->n_aggs; k++) {
        const struct efx_col *src = &from->col[k];
        uint64_t *valid = (uint64_t *)(uintptr_t)to->col[k].valid;
        scatter((void *)(uintptr_t)to->col[k].data, src->data, src->type, row, op, n_in);
        if (all_valid(src->valid, n)) {
            continue;
        }
        for (uint32_t i = 0; i < n_in; i++) {
            if (!efx_bit(src->valid, op[i])) {
                efx_bit_put(valid, row[op[i]], false);
                to->has_null[k] = true;
            }
        }
    }
    for (uint32_t i = 0; from->fails.any && i < n_in; i++) {
        if (efx_bit(from->fails.failed, op[i])) {
            efx_fail_row(&to->fails, row[op[i]], from->fails.code[op[i]]);
        }
    }
}

/* Rows at their places, with these aggregates, go on. */
static enum efx_rc put_out(struct op_select *self, struct select_in *in, const struct values_at *v)
{
    const struct efx_select_conf *conf = self->conf;
    struct efx_col *env = efx_select__env(self);
    memcpy(env, in->b.cols, self->n_in * sizeof *env);
    for (uint32_t k = 0; k < conf->n_aggs; k++) {
        env[conf->env_agg + k] = v->col[k];
        if (!v->has_null[k]) {
            env[conf->env_agg + k].valid = NULL;
        }
    }
    struct select_made m = {.b = in->b, .from = in->rows.from, .until = in->rows.until};
    if (in->arg_failed != NULL) {
        uint32_t w1 = efx_words(in->rows.until);
        uint64_t *sel = efx_scratch(self->base.ctx, w1 * sizeof *sel);
        for (uint32_t w = in->rows.from / 64; w < w1; w++) {
            sel[w] = efx_rows_word(&in->rows, w) & ~in->arg_failed[w];
        }
        m.b.sel = sel;
    }
    m.b.cols = env;
    m.fails = conf->n_aggs > 0 ? &v->fails : NULL;
    return efx_select__out(self, in->step, &m);
}

/* ---- RUN ---- */

/* Which rows leave, by op; and the rows whose kind is asked for stay in `sel`. NULL: none
 * leaves. Whoever made an expired row stamped it with the time it left. */
static uint64_t *kinds_split(struct op_select *self, struct select_in *in)
{
    struct efx_ctx *ctx = self->base.ctx;
    const struct efx_select_conf *conf = self->conf;
    uint64_t *leaves = efx_scratch_zero(ctx, (efx_words(in->n) + 1) * sizeof *leaves);
    uint32_t w1 = efx_words(in->rows.until);
    uint64_t *sel = efx_scratch_zero(ctx, (w1 + 1) * sizeof *sel);
    for (uint32_t i = 0; i < in->n; i++) {
        uint32_t row = in->at[i];
        uint8_t kind = in->b.kind[row];
        bool wanted =
            kind == EFX_ROW_CURRENT ? conf->current : kind == EFX_ROW_EXPIRED && conf->expired;
        leaves[i / 64] |= (uint64_t)(kind == EFX_ROW_EXPIRED) << i % 64;
        efx_bit_put(sel, row, wanted);
    }
    in->b.sel = sel;
    return leaves;
}

static void reset_all(struct op_select *self)
{
    for (uint32_t id = 0; id < efx_keyed_n_ids(self->groups); id++) {
        if (efx_keyed_is_live(self->groups, id)) {
            if (self->keyed) {
                efx_keyed_del(self->groups, id);
            } else {
                efx_keyed_reset(self->groups, id);
            }
        }
    }
}

/* Is the group of op i to start anew? Its clock goes on. */
static bool is_stale(struct op_select *self, const struct select_in *in, uint32_t i)
{
    if (self->ttl_ms < 0 || !self->keyed) {
        return false;
    }
    int64_t *last = efx_keyed_state(self->groups, in->id[i], self->plain);
    int64_t now = efx_batch_clk_ms(&in->b, in->at[i]);
    return last[1] != 0 && now > last[0] && (uint64_t)(now - last[0]) > (uint64_t)self->ttl_ms;
}

static void note_use(struct op_select *self, const struct select_in *in, uint32_t i)
{
    if (self->ttl_ms >= 0 && self->keyed) {
        int64_t *last = efx_keyed_state(self->groups, in->id[i], self->plain);
        last[0] = efx_batch_clk_ms(&in->b, in->at[i]);
        last[1] = 1;
    }
}

/* Memory of groups whose time is over goes bit by bit; when does not matter to anybody. */
static void sweep(struct op_select *self, int64_t now_ms)
{
    uint32_t n = efx_keyed_n_ids(self->groups);
    for (uint32_t i = 0; i < SWEEP_ENTRIES && i < n; i++) {
        uint32_t id = self->sweep < n ? self->sweep : 0;
        self->sweep = id + 1;
        if (efx_keyed_is_live(self->groups, id)) {
            const int64_t *last = efx_keyed_state(self->groups, id, self->plain);
            if (last[1] != 0 && now_ms > last[0] &&
                (uint64_t)(now_ms - last[0]) > (uint64_t)self->ttl_ms) {
                efx_keyed_del(self->groups, id);
            }
        }
    }
}

static bool is_reset(const struct select_in *in, uint32_t i)
{
    return in->b.kind != NULL && in->b.kind[in->at[i]] == EFX_ROW_RESET;
}

/* Values of ops whose rows lie in one piece, from a whole word of bits on, go to their places at
 * once. `counts`: the groups' rows are to be counted, too. */
static enum efx_rc in_place(struct op_select *self, struct select_ops *ops, bool counts,
                            struct values_at *v)
{
    uint32_t row = ops->row[0], last = (ops->n - 1) / 64;
    struct efx_col *col = efx_scratch(self->base.ctx, (self->conf->n_aggs + 1) * sizeof *col);
    for (uint32_t k = 0; k < self->conf->n_aggs; k++) {
        const struct efx_col *c = &v->col[k];
        col[k] = (struct efx_col){c->type,
                                  (const uint8_t *)c->data + (size_t)row * efx_type_width(c->type),
                                  c->valid + row / 64};
    }
    struct select_values direct = {col,
                                   {v->fails.failed + row / 64, v->fails.code + row, v->fails.any}};
    EFX_RET(counts ? efx_select__count(self, ops, &direct) : EFX_OK);
    EFX_RET(efx_select__aggregate(self, ops, &direct));
    v->fails.any = direct.fails.any;
    for (uint32_t k = 0; k < self->conf->n_aggs; k++) {
        v->has_null[k] = v->has_null[k] || !all_valid(col[k].valid, ops->n);
        /* Bits of rows that come later stay set. */
        ((uint64_t *)(uintptr_t)col[k].valid)[last] |= ~efx_word(NULL, last, ops->n);
    }
    return EFX_OK;
}

/* Ops from .. until - 1, in one go. */
static enum efx_rc run_part(struct op_select *self, struct select_in *in, const uint64_t *leaves,
                            uint32_t from, uint32_t until, struct values_at *v)
{
    struct efx_ctx *ctx = self->base.ctx;
    struct select_ops ops = {.n = until - from, .id = in->id + from, .cols = in->b.cols};
    if (ops.n == 0) {
        return EFX_OK;
    }
    bool whole = in->dense && from == 0 && until == in->n;
    ops.row = whole ? NULL : in->at + from;
    if (leaves != NULL && from % 64 == 0) {
        ops.leaves = leaves + from / 64;
    } else if (leaves != NULL) {
        uint64_t *of = efx_scratch_zero(ctx, (efx_words(ops.n) + 1) * sizeof *of);
        for (uint32_t i = 0; i < ops.n; i++) {
            of[i / 64] |= (uint64_t)efx_bit(leaves, from + i) << i % 64;
        }
        ops.leaves = of;
    }
    if (self->conf->expired_still) {
        ops.still = ops.leaves;
        ops.leaves = NULL;
    }
    EFX_RET(efx_select__count(self, &ops, NULL));
    if (whole) {
        struct select_values direct = {v->col, v->fails};
        EFX_RET(efx_select__aggregate(self, &ops, &direct));
        v->fails = direct.fails;
        for (uint32_t k = 0; k < self->conf->n_aggs; k++) {
            v->has_null[k] = !all_valid(v->col[k].valid, ops.n);
        }
        return EFX_OK;
    }
    if (in->dense && from % 64 == 0) {
        return in_place(self, &ops, false, v);
    }
    struct select_values by_op;
    efx_select__values(self, ops.n, &by_op);
    EFX_RET(efx_select__aggregate(self, &ops, &by_op));
    values_put(self, &by_op, ops.n, ops.row, NULL, v);
    return EFX_OK;
}

/* Cut where a group starts anew, or all do: there ids may change too. And stretches, so that groups
 * are near from the search to the last aggregate. */
static enum efx_rc run_groups(struct op_select *self, struct select_in *in, const uint64_t *leaves,
                              struct values_at *v)
{
    in->id = efx_scratch(self->base.ctx, (in->n + 1) * sizeof *in->id);
    uint32_t most = self->keyed ? STRETCH_ROWS : in->n;
    for (uint32_t from = 0, until; from < in->n; from = until) {
        until = from;
        while (until < in->n && until - from < most && !is_reset(in, until)) {
            until++;
        }
        EFX_RET(efx_select__ids_in(self, in, in->at + from, until - from, in->id + from));
        uint32_t done = from;
        for (uint32_t i = from; self->ttl_ms >= 0 && i < until; i++) {
            if (is_stale(self, in, i)) {
                EFX_RET(run_part(self, in, leaves, done, i, v));
                efx_keyed_reset(self->groups, in->id[i]);
                done = i;
            }
            note_use(self, in, i);
        }
        EFX_RET(run_part(self, in, leaves, done, until, v));
        efx_select__del_empty(self);
        if (until < in->n && is_reset(in, until)) {
            reset_all(self);
            until++;
        }
    }
    return EFX_OK;
}

enum efx_rc efx_select__run(struct op_select *self, const struct efx_step *step,
                            const struct efx_rows *rows)
{
    struct select_in in;
    struct values_at v = {NULL, NULL, {NULL, NULL, false}};
    EFX_RET(efx_select__in(self, step, rows, &in));
    if (in.n == 0 && !self->sets) {
        return EFX_OK;
    }
    const uint64_t *leaves =
        self->conf->kinds_in && in.b.kind != NULL ? kinds_split(self, &in) : NULL;
    if (self->grouped) {
        values_at_make(self, rows, &v);
        EFX_RET(run_groups(self, &in, leaves, &v));
        if (self->ttl_ms >= 0 && self->keyed && in.n > 0) {
            sweep(self, efx_batch_clk_ms(&in.b, in.at[0]));
        }
    }
    return leaves == NULL && !self->conf->current ? EFX_OK : put_out(self, &in, &v);
}

/* ---- SLIDE ---- */

struct slide_buf {
    struct efx_slide ops;
    struct select_values v;
    uint64_t *ones; /* [EFX_SLIDE_MAX / 64] */
};

static void slide_buf_make(struct op_select *self, struct slide_buf *b)
{
    struct efx_ctx *ctx = self->base.ctx;
    b->ops = (struct efx_slide){
        .may_pair = self->pairs,
        .row = efx_scratch(ctx, EFX_SLIDE_MAX * sizeof(uint32_t)),
        .id = efx_scratch_zero(ctx, EFX_SLIDE_MAX * sizeof(uint32_t)),
        .leaves = efx_scratch(ctx, EFX_SLIDE_MAX / 8),
    };
    efx_select__values(self, EFX_SLIDE_MAX, &b->v);
    b->ones = efx_scratch(ctx, EFX_SLIDE_MAX / 8);
    memset(b->ones, 0xFF, EFX_SLIDE_MAX / 8);
}

/* Groups found by key: of arriving rows they are known by place, of leaving ones they are looked
 * up. */
static enum efx_rc slide_ids(struct op_select *self, const uint32_t *id_at, struct efx_slide *s)
{
    uint32_t n_left = 0;
    uint32_t *row = efx_scratch(self->base.ctx, (s->n + 1) * sizeof *row);
    uint32_t *id = efx_scratch(self->base.ctx, (s->n + 1) * sizeof *id);
    for (uint32_t i = 0; i < s->n; i++) {
        if (efx_bit(s->leaves, i)) {
            row[n_left++] = s->row[i];
        } else {
            s->id[i] = id_at[s->row[i]];
        }
    }
    if (n_left == 0) {
        return EFX_OK;
    }
    EFX_RET(efx_select__ids_left(self, s->left, row, n_left, id));
    n_left = 0;
    for (uint32_t i = 0; i < s->n; i++) {
        if (efx_bit(s->leaves, i)) {
            s->id[i] = id[n_left++];
        }
    }
    return EFX_OK;
}

/* Do the rows lie side by side, from a whole word of bits on? */
static bool in_one_piece(const struct efx_slide *s)
{
    uint32_t off = 0;
    for (uint32_t i = 0; i < s->n; i++) {
        off |= s->row[i] - s->row[0] - i;
    }
    return s->n > 0 && off == 0 && s->row[0] % 64 == 0;
}

static void fails_forget(struct slide_buf *b)
{
    if (b->v.fails.any) {
        memset(b->v.fails.failed, 0, EFX_SLIDE_MAX / 8);
        b->v.fails.any = false;
    }
}

/* Values of rows that lie in one piece go to their places at once; bits, which may begin within a
 * word there, only if they say something. */
static enum efx_rc piece_enters(struct op_select *self, const struct select_ops *ops,
                                struct slide_buf *b, struct values_at *v)
{
    uint32_t row = ops->row[0], n_aggs = self->conf->n_aggs;
    struct efx_col *col = efx_scratch(self->base.ctx, (n_aggs + 1) * sizeof *col);
    for (uint32_t k = 0; k < n_aggs; k++) {
        col[k] = b->v.col[k];
        col[k].data = (const uint8_t *)v->col[k].data + (size_t)row * efx_type_width(col[k].type);
    }
    struct select_values direct = {col, b->v.fails};
    EFX_RET(efx_select__count(self, ops, &direct));
    EFX_RET(efx_select__aggregate(self, ops, &direct));
    b->v.fails.any = direct.fails.any;
    for (uint32_t k = 0; k < n_aggs; k++) {
        if (all_valid(col[k].valid, ops->n)) {
            continue;
        }
        v->has_null[k] = true;
        for (uint32_t i = 0; i < ops->n; i++) {
            efx_bit_put((uint64_t *)(uintptr_t)v->col[k].valid, row + i, efx_bit(col[k].valid, i));
        }
    }
    for (uint32_t i = 0; direct.fails.any && i < ops->n; i++) {
        if (efx_bit(direct.fails.failed, i)) {
            efx_fail_row(&v->fails, row + i, direct.fails.code[i]);
        }
    }
    fails_forget(b);
    return EFX_OK;
}

/* Ops from .. until - 1, which all leave or all enter. */
static enum efx_rc run_moves(struct op_select *self, struct select_in *in, struct slide_buf *b,
                             uint32_t from, uint32_t until, struct values_at *v)
{
    bool leave = efx_bit(b->ops.leaves, from);
    struct select_ops ops = {
        .n = until - from,
        .row = b->ops.row + from,
        .id = b->ops.id + from,
        .leaves = leave ? b->ones : NULL,
        .quiet = true,
        .cols = in->b.cols,
        .left = b->ops.left,
    };
    if (leave) {
        EFX_RET(efx_select__count(self, &ops, NULL));
        return efx_select__aggregate(self, &ops, NULL);
    }
    uint32_t off = 0;
    for (uint32_t i = 0; i < ops.n; i++) {
        off |= ops.row[i] - ops.row[0] - i;
    }
    if (off == 0) {
        return piece_enters(self, &ops, b, v);
    }
    EFX_RET(efx_select__count(self, &ops, &b->v));
    EFX_RET(efx_select__aggregate(self, &ops, &b->v));
    values_put(self, &b->v, ops.n, ops.row, NULL, v);
    fails_forget(b);
    return EFX_OK;
}

/* First op behind `from` that goes the other way. */
static uint32_t run_end(const struct efx_slide *s, uint32_t from)
{
    uint64_t flip = efx_bit(s->leaves, from) ? UINT64_MAX : 0;
    for (uint32_t w = from / 64; w < efx_words(s->n); w++) {
        uint64_t other = s->leaves[w] ^ flip;
        other &= w == from / 64 ? UINT64_MAX << from % 64 : UINT64_MAX;
        if (other != 0) {
            uint32_t end = w * 64 + (uint32_t)__builtin_ctzll(other);
            return end < s->n ? end : s->n;
        }
    }
    return s->n;
}

/* Do the ops come in runs long enough to be handed over one by one? */
static bool in_runs(const struct efx_slide *s)
{
    uint32_t turns = 1;
    uint64_t before = s->leaves[0] & 1;
    for (uint32_t w = 0; w < efx_words(s->n); w++) {
        uint64_t word = s->leaves[w];
        turns += (uint32_t)__builtin_popcountll(word ^ (word << 1 | before));
        before = word >> 63;
    }
    return !s->pairs && s->n / turns >= RUN_MIN;
}

static enum efx_rc slide_ops(struct op_select *self, struct select_in *in, const uint32_t *id_at,
                             struct slide_buf *b, struct values_at *v)
{
    if (in_runs(&b->ops)) {
        if (self->rekey) {
            EFX_RET(slide_ids(self, id_at, &b->ops));
        }
        for (uint32_t from = 0, until; from < b->ops.n; from = until) {
            until = run_end(&b->ops, from);
            EFX_RET(run_moves(self, in, b, from, until, v));
        }
        return EFX_OK;
    }
    if (self->rekey) {
        EFX_RET(slide_ids(self, id_at, &b->ops));
    }
    struct select_ops ops = {
        .n = b->ops.n,
        .row = b->ops.row,
        .id = b->ops.id,
        .leaves = b->ops.leaves,
        .pairs = b->ops.pairs,
        .quiet = true,
        .cols = in->b.cols,
        .left = b->ops.left,
    };
    if (b->ops.pairs && in_one_piece(&b->ops)) {
        return in_place(self, &ops, true, v);
    }
    EFX_RET(efx_select__count(self, &ops, &b->v));
    EFX_RET(efx_select__aggregate(self, &ops, &b->v));
    values_put(self, &b->v, ops.n, ops.row, ops.pairs ? NULL : ops.leaves, v);
    fails_forget(b);
    return EFX_OK;
}

/* Rows of one stretch: their groups, then what the window says, while the groups are near. */
static enum efx_rc slide_part(struct op_select *self, struct select_in *in, uint32_t first,
                              uint32_t n, struct efx_rows part, uint32_t *id_at,
                              struct slide_buf *buf, struct values_at *v)
{
    struct efx_ctx *ctx = self->base.ctx;
    if (self->keyed) {
        uint32_t *id = in->dense ? id_at + first : efx_scratch(ctx, (n + 1) * sizeof *id);
        EFX_RET(efx_select__ids_in(self, in, in->at + first, n, id));
        for (uint32_t i = 0; !in->dense && i < n; i++) {
            id_at[in->at[first + i]] = id[i];
        }
    }
    for (enum efx_rc rc = EFX_AGAIN; rc == EFX_AGAIN;) {
        struct efx_ctx_mark m = efx_ctx_begin(ctx);
        memset(buf->ops.leaves, 0, EFX_SLIDE_MAX / 8);
        buf->ops.left = NULL;
        buf->ops.pairs = false;
        rc = self->window->vt->slide(self->window, in->step, &part, &buf->ops);
        enum efx_rc done = rc < 0 ? rc : slide_ops(self, in, id_at, buf, v);
        efx_ctx_end(ctx, m);
        EFX_RET(done);
    }
    return EFX_OK;
}

enum efx_rc efx_select__slide(struct op_select *self, const struct efx_step *step,
                              const struct efx_rows *rows)
{
    struct efx_ctx *ctx = self->base.ctx;
    struct select_in in;
    struct values_at v;
    struct slide_buf buf;
    EFX_RET(efx_select__in(self, step, rows, &in));
    if (in.n == 0) {
        return EFX_OK;
    }
    uint32_t *id_at = self->keyed ? efx_scratch(ctx, rows->until * sizeof *id_at) : NULL;
    if (self->id_col != EFX_NO_COL) {
        ((struct efx_col *)(uintptr_t)in.b.cols)[self->id_col] =
            (struct efx_col){EFX_TYPE_INT, id_at, NULL};
    }
    values_at_make(self, rows, &v);
    slide_buf_make(self, &buf);
    uint32_t first = 0;
    for (uint32_t from = rows->from, until; from < rows->until; from = until) {
        until = (from / STRETCH_ROWS + 1) * STRETCH_ROWS;
        until = until < rows->until ? until : rows->until;
        uint32_t n = 0;
        while (first + n < in.n && in.at[first + n] < until) {
            n++;
        }
        struct efx_ctx_mark m = efx_ctx_begin(ctx);
        EFX_RET(slide_part(self, &in, first, n, (struct efx_rows){&in.b, from, until}, id_at, &buf,
                           &v));
        efx_ctx_end(ctx, m);
        first += n;
    }
    efx_select__del_empty(self);
    return put_out(self, &in, &v);
}
