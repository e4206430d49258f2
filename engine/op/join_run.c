/* A run of rows of one inlet, change by change.
 *
 *   left    T5 ·  +a  ·  −x +b  ·        what the window lists: timers, pushed out rows, rows
 *   right   ·  T7 ·  +a  ·   ·  +b       self join: the other role's list, merged
 *   takes   T5 T7 +a +a −x +b +b         row by row, left before right; timers by moment
 *
 * The run is prepared as a whole (keys, entries, log rows, tags), then its changes are taken one
 * after the other; in front of each, the other side's timers that are due before it. A row that
 * leaves as soon as it came (late) still belongs to its own turn.
 *
 *   Order    see above
 *   Errors   EFX_ENOMEM; a window that gives back what it was not given is a bug
 */
#include "join.h"

static inline uint32_t place_of(const struct join_arriving *a, uint32_t row)
{
    return a->place != NULL ? a->place[row] : row - a->rows.at[0];
}

static void changes_init(struct efx_ctx *ctx, struct efx_changes *c)
{
    *c = (struct efx_changes){.list = efx_scratch(ctx, EFX_CHANGES_MAX * sizeof *c->list)};
}

/* ---- what leaves ---- */

enum efx_rc efx_join__leave(struct join_run *run, uint32_t no, uint64_t number,
                            const struct efx_change *c)
{
    struct op_join *op = run->op;
    struct join_side *s = &op->side[no];
    uint32_t id = join_link(s, number)->id;
    if (join_link_out(op, no, number)) {
        EFX_RET(efx_join__note_empty(op, id));
    }
    EFX_RET(efx_join__gone_add(op, &s->gone, number));
    if (!op->removes || c == NULL) {
        return EFX_OK;
    }
    struct join_act *act;
    EFX_RET(efx_join__act(run, &act));
    *act = (struct join_act){.did = JOIN_LEFT,
                             .side = (uint8_t)no,
                             .number = number,
                             .moment = c->moment,
                             .clk_ms = c->clk_ms,
                             .turn = c->turn,
                             .copy = c->copy};
    return EFX_OK;
}

static uint64_t number_of(const struct op_join *op, uint32_t no, const struct join_arriving *a,
                          const struct efx_change *c, const struct efx_batch *left)
{
    if (c->arrives) {
        return a->first + place_of(a, c->row);
    }
    uint64_t tag = ((const uint64_t *)left->cols[0].data)[c->row];
    uint64_t number = efx_join__number(op, no, tag);
    EFX_ASSERT(number != UINT64_MAX); /* the window gives back what it was given, once */
    return number;
}

/* Fires a side's timers before `until`. */
enum efx_rc efx_join__fire(struct join_run *run, uint32_t no, efx_moment until)
{
    struct op_join *op = run->op;
    struct efx_window *w = op->side[no].window;
    struct efx_ctx_mark mark = efx_ctx_begin(op->base.ctx);
    struct efx_changes changes;
    changes_init(op->base.ctx, &changes);
    enum efx_rc more = EFX_AGAIN;
    enum efx_rc rc = EFX_OK;
    while (rc == EFX_OK && more == EFX_AGAIN) {
        changes.n = 0;
        more = w->vt->fire(w, run->step, until, &changes);
        rc = more < 0 ? more : EFX_OK;
        for (uint32_t i = 0; rc == EFX_OK && i < changes.n; i++) {
            const struct efx_change *c = &changes.list[i];
            rc = efx_join__leave(run, no, number_of(op, no, NULL, c, changes.left), c);
        }
    }
    efx_ctx_end(op->base.ctx, mark);
    return rc;
}

int64_t efx_join__due_ms(const struct op_join *op, uint32_t no)
{
    const struct efx_window *w = op->side[no].window;
    return w == NULL ? EFX_NEVER_MS : w->vt->next_due_ms(w);
}

/* A windowless side forgets what the clock has passed, in order of arrival; a late row that stands
 * behind a younger one is not met any more (join_probe.c) and goes with it. */
enum efx_rc efx_join__drop_passed(struct join_run *run, uint32_t no, int64_t clk_ms)
{
    struct op_join *op = run->op;
    struct join_side *s = &op->side[no];
    for (; s->drops && s->drop_at < s->entered; s->drop_at++) {
        int64_t time_ms = join_link(s, s->drop_at)->time_ms;
        if (time_ms >= clk_ms || (uint64_t)clk_ms - (uint64_t)time_ms <= (uint64_t)s->ttl_ms) {
            break;
        }
        EFX_RET(efx_join__leave(run, no, s->drop_at, NULL));
    }
    return EFX_OK;
}

/* ---- what arrives ---- */

static void window_prepare(struct op_join *op, struct join_arriving *a)
{
    struct join_side *s = &op->side[a->no];
    struct efx_ctx *ctx = op->base.ctx;
    const struct efx_batch *b = a->rows.in.b;
    struct efx_col *cols = efx_scratch(ctx, s->n_batch * sizeof *cols);
    uint64_t *tag = efx_scratch(ctx, b->n_rows * sizeof *tag);
    uint32_t *group = efx_scratch(ctx, b->n_rows * sizeof *group);
    memcpy(cols, b->cols, s->tag_col * sizeof *cols);
    for (uint32_t k = 0; k < a->rows.n; k++) {
        tag[a->rows.at[k]] = join_tag(op, s->tag_base, a->first + k);
        group[a->rows.at[k]] = a->keys.group[k];
    }
    cols[s->tag_col] = (struct efx_col){.type = EFX_TYPE_LONG, .data = tag};
    if (s->group_col != EFX_NO_COL) {
        cols[s->group_col] = (struct efx_col){.type = EFX_TYPE_INT, .data = group};
    }
    a->seen = *b;
    a->seen.cols = cols;
    a->seen.n_hidden = s->n_batch - b->n_cols;
    a->left = (struct efx_rows){&a->seen, a->rows.in.from, a->rows.in.until};
    a->more = true;
    a->arrived = efx_scratch_zero(ctx, efx_words(a->rows.n) * sizeof *a->arrived);
    changes_init(ctx, &a->changes);
}

/* The rows' places in the log; they enter one by one. */
static enum efx_rc hold(struct op_join *op, const struct efx_step *step, struct join_arriving *a)
{
    struct join_side *s = &op->side[a->no];
    struct efx_ctx *ctx = op->base.ctx;
    const struct efx_batch *b = a->rows.in.b;
    uint32_t n = a->rows.n, n_cols = s->conf->in.n_cols;
    EFX_RET(efx_join__ring_fit(op, a->no, n));
    a->first = efx_log_end(s->log);
    if (s->tag_base == JOIN_UNDECIDED) {
        uint64_t turn = step->first_turn;
        s->tag_base = (turn > s->tag_floor ? turn : s->tag_floor) - a->first;
    }
    uint64_t *turn = efx_scratch(ctx, n * sizeof *turn);
    for (uint32_t k = 0; k < n; k++) {
        struct join_link *l = join_link(s, a->first + k);
        l->id = a->keys.id[k];
        l->time_ms = efx_step_time_ms(step, b, a->rows.at[k]);
        turn[k] = join_tag(op, s->tag_base, a->first + k);
    }
    const struct efx_col *cols = b->cols;
    if (op->partitioned) {
        struct efx_col *held = efx_scratch(ctx, (n_cols + 1) * sizeof *held);
        memcpy(held, b->cols, n_cols * sizeof *held);
        held[n_cols] = b->cols[n_cols + 1];
        cols = held;
    }
    bool by_clock = !step->virtual_clock && b->clk_ms != NULL;
    struct efx_log_rows rows = {.n = n,
                                .row = a->rows.at,
                                .cols = cols,
                                .ts_ms = by_clock ? b->clk_ms : b->ts_ms,
                                .turn = turn,
                                .group = a->keys.group};
    return efx_log_add(s->log, &rows);
}

/* Do rows need entries? In a self join also those of the role that is not held: in the other role
 * they come into the same lists while the run goes on. */
static bool holds(const struct op_join *op, uint32_t no)
{
    return op->side[no].log != NULL || (op->conf->self && op->side[1 - no].log != NULL);
}

enum efx_rc efx_join__prepare(struct join_run *run, const struct join_rows *rows, uint32_t no,
                              const struct join_arriving *twin, struct join_arriving *a)
{
    struct op_join *op = run->op;
    struct join_side *s = &op->side[no];
    struct efx_ctx *ctx = op->base.ctx;
    *a = (struct join_arriving){.no = no, .rows = *rows, .last = UINT64_MAX};
    if (rows->at[rows->n - 1] - rows->at[0] + 1 != rows->n) {
        a->place = efx_scratch(ctx, rows->in.until * sizeof *a->place);
        for (uint32_t k = 0; k < rows->n; k++) {
            a->place[rows->at[k]] = k;
        }
    }
    if (twin != NULL && op->same_keys) {
        a->keys = twin->keys;
    } else {
        EFX_RET(efx_join__keys(op, no, run->step, rows, holds(op, no), &run->fails, &a->keys));
    }
    if (s->log == NULL) {
        return EFX_OK;
    }
    EFX_RET(hold(op, run->step, a));
    if (s->window != NULL) {
        window_prepare(op, a);
    }
    return EFX_OK;
}

/* The next change of these rows; *out NULL: there is none left. */
static enum efx_rc peek(struct join_run *run, struct join_arriving *a,
                        const struct efx_change **out)
{
    struct efx_window *w = run->op->side[a->no].window;
    *out = NULL;
    if (w == NULL) {
        if (a->n_arrived == a->rows.n) {
            return EFX_OK;
        }
        uint32_t row = a->rows.at[a->n_arrived];
        const struct efx_batch *b = a->rows.in.b;
        a->own = (struct efx_change){.moment = efx_op_row_moment(run->step, b, row),
                                     .clk_ms = efx_batch_clk_ms(b, row),
                                     .row = row,
                                     .kind = EFX_ROW_CURRENT,
                                     .arrives = true};
        *out = &a->own;
        return EFX_OK;
    }
    while (a->pos == a->changes.n) {
        if (!a->more) {
            return EFX_OK;
        }
        a->changes.n = a->pos = 0;
        enum efx_rc rc = w->vt->arrive(w, run->step, &a->left, &a->changes);
        if (rc < 0) {
            return rc;
        }
        a->more = rc == EFX_AGAIN || a->left.from < a->left.until;
    }
    *out = &a->changes.list[a->pos];
    return EFX_OK;
}

static void prefetch(const struct op_join *op, const struct join_arriving *a, uint32_t k)
{
    const struct join_side *other = &op->side[1 - a->no];
    if (k + 16 < a->rows.n && a->keys.id[k + 16] != EFX_KEYED_DEAD) {
        __builtin_prefetch(join_ends(op, a->keys.id[k + 16], 0));
    }
    if (k + 8 < a->rows.n && a->keys.id[k + 8] != EFX_KEYED_DEAD && other->log != NULL) {
        uint64_t first = join_ends(op, a->keys.id[k + 8], 1 - a->no)->first;
        if (first != 0) {
            __builtin_prefetch(join_link(other, first - 1));
        }
    }
}

/* The row enters; whom it meets is the caller's. */
static enum efx_rc enter(struct join_run *run, struct join_arriving *a, const struct efx_change *c)
{
    struct op_join *op = run->op;
    struct join_side *s = &op->side[a->no];
    uint32_t k = place_of(a, c->row);
    if (op->side[0].drops || op->side[1].drops) {
        EFX_RET(efx_join__drop_passed(run, 0, c->clk_ms));
        EFX_RET(efx_join__drop_passed(run, 1, c->clk_ms));
    }
    prefetch(op, a, k);
    if (s->log != NULL) {
        join_link_in(op, a->no, a->first + k);
        s->entered = a->first + k + 1;
        a->last = a->first + k;
        a->last_moment = c->moment;
    }
    if (a->arrived != NULL) {
        efx_bit_put(a->arrived, k, true);
    }
    a->n_arrived++;
    return EFX_OK;
}

static enum efx_rc arrive(struct join_run *run, struct join_arriving *a, const struct efx_change *c)
{
    const struct join_side *s = &run->op->side[a->no];
    EFX_RET(enter(run, a, c));
    uint32_t k = place_of(a, c->row);
    uint64_t own = s->log != NULL ? a->first + k + 1 : 0;
    return s->conf->triggers ? efx_join__probe(run, a->no, c->row, a->keys.id[k], own) : EFX_OK;
}

/* Takes a change; what comes and goes on the other side before it has been seen to. */
static enum efx_rc take(struct join_run *run, struct join_arriving *a, const struct efx_change *c)
{
    a->pos++;
    if (c->kind == EFX_ROW_CURRENT) {
        EFX_ASSERT(c->arrives);
        return arrive(run, a, c);
    }
    EFX_ASSERT(c->kind == EFX_ROW_EXPIRED);
    return efx_join__leave(run, a->no, number_of(run->op, a->no, a, c, a->changes.left), c);
}

/* Rows that the window did not let in, and entries that were made for nobody. */
static enum efx_rc dismiss(struct op_join *op, const struct join_arriving *a)
{
    struct join_side *s = &op->side[a->no];
    bool let_in = s->log != NULL && a->n_arrived == a->rows.n;
    if (let_in || !holds(op, a->no)) {
        return EFX_OK;
    }
    for (uint32_t k = 0; k < a->rows.n; k++) {
        if (s->log != NULL && efx_bit(a->arrived, k)) {
            continue;
        }
        if (s->log != NULL) {
            EFX_RET(efx_join__gone_add(op, &s->gone, a->first + k));
        }
        if (a->keys.id[k] != EFX_KEYED_DEAD) {
            EFX_RET(efx_join__note_empty(op, a->keys.id[k]));
        }
    }
    return EFX_OK;
}

/* ---- runs ---- */

enum efx_rc efx_join__run_side(struct join_run *run, const struct join_rows *rows, uint32_t no)
{
    struct op_join *op = run->op;
    struct join_arriving a;
    EFX_RET(efx_join__prepare(run, rows, no, NULL, &a));
    int64_t other_due = efx_join__due_ms(op, 1 - no);
    for (;;) {
        const struct efx_change *c;
        EFX_RET(peek(run, &a, &c));
        if (c == NULL) {
            break;
        }
        /* What leaves the left side at a due time comes before what leaves the right then. */
        efx_moment until = c->kind == EFX_ROW_EXPIRED && no == 1 ? c->moment + 1 : c->moment;
        if (efx_op_due(&op->base, run->step, other_due, until)) {
            EFX_RET(efx_join__fire(run, 1 - no, until));
            other_due = efx_join__due_ms(op, 1 - no);
        }
        EFX_RET(take(run, &a, c));
    }
    return dismiss(op, &a);
}

/* Has the row that arrived last left at once, by its own change? It may also be pushed out by the
 * row behind it, and without moments in the batch both can have the same: then only a late row of a
 * window by time counts as its own. */
static bool leaves_at_once(const struct join_run *run, const struct join_arriving *a,
                           const struct efx_change *c)
{
    const struct op_join *op = run->op;
    const struct join_side *s = &op->side[a->no];
    enum efx_evicts evicts = s->conf->window->base.traits.evicts;
    if (evicts == EFX_EVICTS_BY_ARRIVAL || a->last == UINT64_MAX || c->moment != a->last_moment ||
        number_of(op, a->no, a, c, a->changes.left) != a->last) {
        return false;
    }
    bool late = join_link(s, a->last)->time_ms < c->clk_ms;
    return a->rows.in.b->moment != NULL || (evicts == EFX_EVICTS_BY_DUE && late);
}

/* The row that a change belongs to. */
static uint32_t turn_in_run(const struct join_run *run, const struct join_arriving *a,
                            const struct efx_change *c)
{
    bool own = c->kind == EFX_ROW_EXPIRED && leaves_at_once(run, a, c);
    return own ? a->n_arrived - 1 : a->n_arrived;
}

static bool left_first(const struct join_run *run, const struct join_arriving *a,
                       const struct efx_change *const c[2])
{
    if (c[0] == NULL || c[1] == NULL) {
        return c[0] != NULL;
    }
    uint32_t left = turn_in_run(run, &a[0], c[0]), right = turn_in_run(run, &a[1], c[1]);
    return left != right ? left < right : c[0]->moment <= c[1]->moment;
}

enum efx_rc efx_join__run_self(struct join_run *run, const struct join_rows *rows)
{
    struct op_join *op = run->op;
    struct join_arriving a[2];
    EFX_RET(efx_join__prepare(run, rows, 0, NULL, &a[0]));
    EFX_RET(efx_join__prepare(run, rows, 1, &a[0], &a[1]));
    for (;;) {
        const struct efx_change *c[2];
        EFX_RET(peek(run, &a[0], &c[0]));
        EFX_RET(peek(run, &a[1], &c[1]));
        if (c[0] == NULL && c[1] == NULL) {
            break;
        }
        uint32_t no = left_first(run, a, c) ? 0 : 1;
        EFX_RET(take(run, &a[no], c[no]));
    }
    EFX_RET(dismiss(op, &a[0]));
    return dismiss(op, &a[1]);
}

/* Both roles of a row hold the same rows, which are kept once. As a left event it meets what was
 * there before it pushed anything out, as a right event what is there then:
 *
 *   changes of the row   timers │ −x pushed out │ +row │ −row if it leaves at once │
 *   probes                      ▲ left                                             ▲ right
 */
static enum efx_rc probe_twin(struct join_run *run, const struct join_arriving *a, uint32_t no,
                              uint32_t k)
{
    return efx_join__probe(run, no, a->rows.at[k], a->keys.id[k], a->first + k + 1);
}

static bool is_timer(const struct join_run *run, const struct efx_change *c)
{
    const uint32_t rank_mask = EFX_MOMENT_RANKS_MAX - 1;
    return c->kind == EFX_ROW_EXPIRED && !efx_moment_is_event(c->moment) &&
           (c->moment & rank_mask) == run->op->base.rank;
}

enum efx_rc efx_join__run_twin(struct join_run *run, const struct join_rows *rows)
{
    struct op_join *op = run->op;
    struct join_arriving a;
    uint32_t n_left = 0, n_right = 0; /* rows that have been probed in each role */
    EFX_RET(efx_join__prepare(run, rows, 0, NULL, &a));
    for (;;) {
        const struct efx_change *c;
        EFX_RET(peek(run, &a, &c));
        bool own = c != NULL && c->kind == EFX_ROW_EXPIRED && leaves_at_once(run, &a, c);
        if (n_right < a.n_arrived && !own) {
            EFX_RET(probe_twin(run, &a, 1, n_right++));
        }
        if (c == NULL) {
            return dismiss(op, &a);
        }
        if (n_left == a.n_arrived && !own && !is_timer(run, c)) {
            EFX_RET(efx_join__drop_passed(run, 0, c->clk_ms));
            EFX_RET(probe_twin(run, &a, 0, n_left++));
        }
        a.pos++;
        if (c->kind == EFX_ROW_CURRENT) {
            EFX_ASSERT(c->arrives && c->row == rows->at[a.n_arrived]);
            EFX_RET(enter(run, &a, c));
        } else {
            EFX_RET(efx_join__leave(run, 0, number_of(op, 0, &a, c, a.changes.left), c));
        }
    }
}

/* ---- timers ---- */

enum efx_rc efx_join__fire_both(struct join_run *run, efx_moment until)
{
    struct op_join *op = run->op;
    for (;;) {
        bool due[2];
        efx_moment at[2];
        for (uint32_t no = 0; no < 2; no++) {
            int64_t due_ms = efx_join__due_ms(op, no);
            due[no] = efx_op_due(&op->base, run->step, due_ms, until);
            at[no] = due[no] ? efx_op_timer_moment(&op->base, run->step, due_ms) : until;
        }
        if (!due[0] && !due[1]) {
            return EFX_OK;
        }
        uint32_t no = due[0] && (!due[1] || at[0] <= at[1]) ? 0 : 1;
        efx_moment stop = !due[1 - no] ? until : no == 0 ? at[1] + 1 : at[0];
        EFX_RET(efx_join__fire(run, no, stop < until ? stop : until));
    }
}
