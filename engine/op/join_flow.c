/* Joins without residual and removals, over windows that every row enters: rows come and go in
 * bulk. What leaves puts nothing out, so all that counts is who is there when a row probes.
 *
 *   left    before  0   0   2         rows of `left` gone when row k arrives, with their moments
 *   right   before  0   1             before a row of the right probes, the left lets go what has a
 *   runs    L L │ R │ L │ R           smaller moment; a side whose rows have all come is asked
 *
 * Runs of both inlets are prepared together (keys, log rows, tags), so a stream that alternates
 * costs no more than one that does not. Rows are numbered through for what they hand down: those
 * of the right batch behind those of the left.
 *
 *   Order    rows in the order of the runs; what leaves as join_run.c has it
 *   Errors   EFX_ENOMEM; a window that gives back what it was not given is a bug
 *   Limits   both batches bear moments; not in a PARTITION
 */
#include "join.h"

enum { AHEAD = 16, NEAR = 8 };

struct flowing { /* a side */
    struct join_arriving a;
    struct efx_window *w; /* NULL = none: nothing leaves but what is dropped */
    struct efx_flow flow;
    uint32_t base;  /* of its rows among those of the call */
    uint32_t k;     /* next row */
    uint32_t first; /* k of the flow's first row */
    uint32_t left;  /* next row of the flow that leaves */
    bool more;      /* rows that the window has not taken */
    bool by_due;
};

static enum efx_rc flow_begin(struct join_run *run, const struct join_rows *rows, uint32_t no,
                              struct flowing *f)
{
    struct op_join *op = run->op;
    struct efx_ctx *ctx = op->base.ctx;
    *f = (struct flowing){.w = op->side[no].window};
    EFX_RET(efx_join__prepare(run, rows, no, NULL, &f->a));
    if (f->w == NULL) {
        return EFX_OK;
    }
    f->more = true;
    f->by_due = f->w->vt->base.traits.evicts == EFX_EVICTS_BY_DUE;
    f->flow.before = efx_scratch(ctx, EFX_SLIDE_MAX * sizeof *f->flow.before);
    f->flow.moment = efx_scratch(ctx, EFX_SLIDE_MAX * sizeof *f->flow.moment);
    return EFX_OK;
}

static inline uint64_t number_of(const struct op_join *op, const struct flowing *f, uint32_t i)
{
    const struct join_side *s = &op->side[f->a.no];
    uint64_t tag = ((const uint64_t *)f->flow.left->cols[0].data)[i];
    uint64_t number = (tag >> JOIN_TAG_SHIFT) - s->tag_base;
    if (number >= s->n_loaded && number < s->entered &&
        (tag & ((1 << JOIN_TAG_SHIFT) - 1)) == op->kg.first) {
        return number;
    }
    number = efx_join__number(op, f->a.no, tag);
    EFX_ASSERT(number != UINT64_MAX); /* the window gives back what it was given, once */
    return number;
}

/* Rows mostly leave in the order of their numbers. */
static inline void fetch_leaving(const struct op_join *op, const struct join_side *s,
                                 uint64_t number)
{
    if (number + AHEAD < s->entered) {
        uint32_t id = join_link(s, number + AHEAD)->id;
        if (id != EFX_KEYED_DEAD) {
            __builtin_prefetch(join_ends(op, id, 0), 1);
        }
        uint64_t next = join_link(s, number + NEAR)->next;
        if (next != 0) {
            __builtin_prefetch(join_link(s, next - 1), 1);
        }
    }
}

static enum efx_rc leave_next(struct join_run *run, struct flowing *f)
{
    struct op_join *op = run->op;
    struct join_side *s = &op->side[f->a.no];
    uint64_t number = number_of(op, f, f->left++);
    fetch_leaving(op, s, number);
    if (join_link_out(op, f->a.no, number)) {
        EFX_RET(efx_join__note_empty(op, join_link(s, number)->id));
    }
    if (s->gone.n < s->gone.n_max) {
        s->gone.number[s->gone.n++] = number;
        return EFX_OK;
    }
    return efx_join__gone_add(op, &s->gone, number);
}

static enum efx_rc leave_until(struct join_run *run, struct flowing *f, uint32_t left)
{
    while (f->left < left) {
        EFX_RET(leave_next(run, f));
    }
    return EFX_OK;
}

/* The window takes more rows; what it said before has been seen to. */
static enum efx_rc flow_on(struct join_run *run, struct flowing *f)
{
    EFX_ASSERT(f->left == f->flow.n_left && f->k == f->first + f->flow.n);
    f->first = f->k;
    f->left = 0;
    enum efx_rc rc = f->w->vt->flow(f->w, run->step, &f->a.left, &f->flow);
    f->more = rc == EFX_AGAIN || f->a.left.from < f->a.left.until;
    return rc < 0 ? rc : EFX_OK;
}

/* What goes before the side's next row comes; *left: so many rows of the flow. */
static enum efx_rc next_row(struct join_run *run, struct flowing *f, uint32_t *left)
{
    *left = 0;
    if (f->w == NULL) {
        return EFX_OK;
    }
    while (f->k == f->first + f->flow.n) {
        EFX_RET(leave_until(run, f, f->flow.n_left));
        EFX_ASSERT(f->more);
        EFX_RET(flow_on(run, f));
    }
    *left = f->flow.before[f->k - f->first];
    return EFX_OK;
}

/* Does the next row of the flow leave before a row of the other side? One that left as soon as it
 * came bears the moment of its arrival, which can be that row's, too. */
static inline bool goes_before(const struct flowing *f, efx_moment moment)
{
    uint32_t next = f->k - f->first;
    uint32_t arrived = next < f->flow.n ? f->flow.before[next] : f->flow.n_left;
    return f->flow.moment[f->left] < moment ||
           (f->flow.moment[f->left] == moment && f->left < arrived);
}

/* What leaves this side before a row of the other one. */
static enum efx_rc leave_before(struct join_run *run, struct flowing *f, efx_moment moment)
{
    struct op_join *op = run->op;
    if (!f->by_due) {
        return EFX_OK; /* rows of its own push out, nothing else */
    }
    for (;;) {
        while (f->left < f->flow.n_left && goes_before(f, moment)) {
            EFX_RET(leave_next(run, f));
        }
        if (f->left < f->flow.n_left || f->k < f->first + f->flow.n) {
            return EFX_OK;
        }
        if (!f->more) {
            int64_t due_ms = f->w->vt->next_due_ms(f->w);
            return efx_op_due(&op->base, run->step, due_ms, moment)
                       ? efx_join__fire(run, f->a.no, moment)
                       : EFX_OK;
        }
        EFX_RET(flow_on(run, f));
    }
}

static inline void fetch_arriving(const struct op_join *op, const struct flowing *f)
{
    const struct join_arriving *a = &f->a;
    uint32_t far = f->k + AHEAD, near = f->k + NEAR, by = join_held_by(op, 1 - a->no);
    if (far < a->rows.n && a->keys.id[far] != EFX_KEYED_DEAD) {
        __builtin_prefetch(join_ends(op, a->keys.id[far], 0), 1);
    }
    if (near < a->rows.n && a->keys.id[near] != EFX_KEYED_DEAD) {
        uint64_t last = join_ends(op, a->keys.id[near], a->no)->last;
        uint64_t first = join_ends(op, a->keys.id[near], by)->first;
        if (last != 0) {
            __builtin_prefetch(join_link(&op->side[a->no], last - 1), 1);
        }
        if (first != 0) {
            __builtin_prefetch(join_link(&op->side[by], first - 1));
        }
    }
}

static inline void enter(struct op_join *op, struct flowing *f)
{
    join_link_in(op, f->a.no, f->a.first + f->k);
    op->side[f->a.no].entered = f->a.first + f->k + 1;
    f->k++;
}

/* The row meets all of the list, one at least. */
static inline enum efx_rc meet_all(struct join_run *run, uint32_t no, uint32_t row, uint64_t own,
                                   uint64_t held)
{
    const struct join_side *other = &run->op->side[join_held_by(run->op, 1 - no)];
    uint32_t n = run->n_slots;
    do {
        if (n == EFX_BATCH_ROWS_MAX) { /* more follow, so no set ends here */
            run->n_slots = n;
            EFX_RET(efx_join__emit(run));
            n = 0;
        }
        run->row[n] = row;
        run->number[no][n] = own;
        run->number[1 - no][n++] = held;
        held = join_link(other, held - 1)->next;
    } while (held != 0);
    run->n_slots = n;
    run->set_end[(n - 1) / 64] |= (uint64_t)1 << (n - 1) % 64;
    return EFX_OK;
}

/* Row k in role `no`. */
static inline enum efx_rc probe(struct join_run *run, const struct flowing *f, uint32_t no,
                                uint32_t k)
{
    const struct op_join *op = run->op;
    const struct join_arriving *a = &f->a;
    uint32_t id = a->keys.id[k], by = join_held_by(op, 1 - no);
    uint32_t row = f->base + a->rows.at[k];
    uint64_t own = a->first + k + 1;
    uint64_t held = id == EFX_KEYED_DEAD ? 0 : join_ends(op, id, by)->first;
    if (!op->conf->side[no].triggers || (held == 0 && !op->conf->side[no].outer)) {
        return EFX_OK;
    }
    bool all = held != 0 && op->conf->within_ms < 0 && !op->side[by].drops;
    return all ? meet_all(run, no, row, own, held) : efx_join__probe(run, no, row, id, own);
}

static enum efx_rc drop(struct join_run *run, const struct flowing *f)
{
    struct op_join *op = run->op;
    if (!op->side[0].drops && !op->side[1].drops) {
        return EFX_OK;
    }
    int64_t clk_ms = efx_batch_clk_ms(f->a.rows.in.b, f->a.rows.at[f->k]);
    EFX_RET(efx_join__drop_passed(run, 0, clk_ms));
    return efx_join__drop_passed(run, 1, clk_ms);
}

/* ---- two streams ---- */

/* What orders and times the rows of both batches, one behind the other. */
static const struct efx_batch *rows_of_both(struct efx_ctx *ctx, const struct join_rows *rows)
{
    struct efx_batch *both = efx_scratch(ctx, sizeof *both);
    const struct efx_batch *l = rows[0].in.b, *r = rows[1].in.b;
    uint32_t n = l->n_rows + r->n_rows;
    int64_t *ts_ms = efx_scratch(ctx, n * sizeof *ts_ms);
    int64_t *clk_ms = efx_scratch(ctx, n * sizeof *clk_ms);
    efx_moment *moment = efx_scratch(ctx, n * sizeof *moment);
    uint64_t *sub =
        l->sub != NULL || r->sub != NULL ? efx_scratch_zero(ctx, n * sizeof *sub) : NULL;
    for (uint32_t no = 0; no < 2; no++) {
        const struct efx_batch *b = rows[no].in.b;
        uint32_t from = rows[no].in.from, len = rows[no].in.until - from;
        uint32_t to = (no == 0 ? 0 : l->n_rows) + from;
        const int64_t *clk = b->clk_ms != NULL ? b->clk_ms : b->ts_ms;
        memcpy(ts_ms + to, b->ts_ms + from, len * sizeof *ts_ms);
        memcpy(clk_ms + to, clk + from, len * sizeof *clk_ms);
        memcpy(moment + to, b->moment + from, len * sizeof *moment);
        if (b->sub != NULL) {
            memcpy(sub + to, b->sub + from, len * sizeof *sub);
        }
    }
    *both = (struct efx_batch){.n_rows = n,
                               .ts_ms = ts_ms,
                               .clk_ms = l->clk_ms != NULL || r->clk_ms != NULL ? clk_ms : NULL,
                               .moment = moment,
                               .sub = sub};
    return both;
}

static enum efx_rc take_row(struct join_run *run, struct flowing *f, struct flowing *other)
{
    struct op_join *op = run->op;
    uint32_t left;
    EFX_RET(next_row(run, f, &left));
    EFX_RET(leave_until(run, f, left));
    EFX_RET(leave_before(run, other, f->a.rows.in.b->moment[f->a.rows.at[f->k]]));
    EFX_RET(drop(run, f));
    fetch_arriving(op, f);
    enter(op, f);
    return probe(run, f, f->a.no, f->k - 1);
}

enum efx_rc efx_join__flow_both(struct join_run *run, const struct join_rows *rows,
                                const struct efx_run *runs, uint32_t n)
{
    struct flowing f[2];
    EFX_RET(flow_begin(run, &rows[0], 0, &f[0]));
    EFX_RET(flow_begin(run, &rows[1], 1, &f[1]));
    run->in = rows_of_both(run->op->base.ctx, rows);
    f[1].base = rows[0].in.b->n_rows;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t no = runs[i].inlet;
        for (uint32_t left = efx_rows_count(&runs[i].rows); left > 0; left--) {
            EFX_RET(take_row(run, &f[no], &f[1 - no]));
        }
    }
    EFX_RET(leave_until(run, &f[0], f[0].flow.n_left));
    EFX_RET(leave_until(run, &f[1], f[1].flow.n_left));
    return efx_join__emit(run);
}

/* ---- a stream with itself ---- */

/* Does the next row that leaves leave at once, as the one that came last? */
static bool leaves_at_once(const struct join_run *run, const struct flowing *f, efx_moment moment)
{
    return f->by_due && f->left < f->flow.n_left && f->flow.moment[f->left] == moment &&
           number_of(run->op, f, f->left) == f->a.first + f->k - 1;
}

/* As in efx_join__run_twin: as a left event a row meets what was there before it pushed anything
 * out, as a right event what is there then. */
static enum efx_rc take_twin(struct join_run *run, struct flowing *f)
{
    struct op_join *op = run->op;
    uint32_t left;
    efx_moment moment = efx_op_row_moment(run->step, run->in, f->a.rows.at[f->k]);
    EFX_RET(next_row(run, f, &left));
    if (f->by_due) {
        EFX_RET(leave_until(run, f, left));
    }
    EFX_RET(drop(run, f));
    fetch_arriving(op, f);
    EFX_RET(probe(run, f, 0, f->k));
    EFX_RET(leave_until(run, f, left));
    enter(op, f);
    if (leaves_at_once(run, f, moment)) {
        EFX_RET(leave_next(run, f));
    }
    return probe(run, f, 1, f->k - 1);
}

enum efx_rc efx_join__flow_twin(struct join_run *run, const struct join_rows *rows)
{
    struct flowing f;
    EFX_RET(flow_begin(run, rows, 0, &f));
    for (uint32_t k = 0; k < rows->n; k++) {
        EFX_RET(take_twin(run, &f));
    }
    return leave_until(run, &f, f.flow.n_left);
}
