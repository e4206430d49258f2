/* Numbering: where a builder becomes a step. Clocks, event time, NOT NULL, late policy, moments
 * and the selection of each shard are decided here, once, before anything is split.
 *
 *   builder ─► judge each turn ─► dead letters in place of what is refused ─► number ─► publish
 *
 * Where nothing is refused, nothing is late and one stream brings all rows, its columns are
 * passed on as they lie and only moments are written.
 *
 *   Limits  a step spans at most 2^41 ms: a longer jump is made by empty steps between
 */
#include "run.h"

#include "efx_kernel.h"

static const int64_t TS_MIN = -62135596800000; /* year 1 */
static const int64_t TS_MAX = 253402300799999; /* year 9999 */
static const int64_t SPAN_MAX = (int64_t)1 << 41;

/* ---- slots ---- */

struct step_slot *efx_run__slot(struct efx_app *app, enum efx_step_what what)
{
    efx_run__wait_room(app);
    struct step_slot *s = &app->slots[app->next_no % EFX_STEPS_IN_FLIGHT];
    if (s->builder != NULL) {
        efx_builder_clear(s->builder);
        app->spare[app->n_spare++] = s->builder;
        s->builder = NULL;
    }
    efx_arena_reset(&s->arena);
    memset(s->batch_of, 0, (app->plan->program->n_objects + 1) * sizeof *s->batch_of);
    s->sel = NULL;
    s->no_rows = NULL;
    s->step = (struct efx_step){.no = app->next_no,
                                .first_turn = app->next_turn,
                                .clk_base_ms = app->clock_ms,
                                .clk_last_ms = app->clock_ms,
                                .start_ms = app->start_ms,
                                .what = what,
                                .virtual_clock = app->opts.virtual_clock,
                                .turns = s->turns,
                                .moments = s->moments,
                                .streams = s->streams,
                                .batches = s->batches};
    return s;
}

/* Steps without turns that carry the time there; the last one is of kind `what`. */
enum efx_rc efx_run__advance_to(struct efx_app *app, int64_t clock_ms, enum efx_step_what what)
{
    if (app->clock_ms == EFX_TS_NONE) {
        app->clock_ms = app->start_ms = clock_ms;
    }
    do {
        int64_t left = clock_ms - app->clock_ms;
        bool last = left <= SPAN_MAX;
        struct step_slot *s = efx_run__slot(app, last ? what : EFX_STEP_ADVANCE);
        app->clock_ms += last ? (left > 0 ? left : 0) : SPAN_MAX;
        s->step.clk_last_ms = app->clock_ms;
        EFX_RET(efx_run__selections(app, s));
        efx_run__publish(app);
        if (last) {
            return EFX_OK;
        }
    } while (true);
}

/* ---- numbering ---- */

struct numbering {
    struct efx_app *app;
    struct efx_builder *b;
    struct step_slot *slot;
    int64_t now_ms; /* system clock */
};

/* A stream's batch; with `room` for what turns will say: no place is there until one does. */
static enum efx_rc open_batch(struct numbering *n, uint16_t stream, bool room)
{
    struct step_slot *slot = n->slot;
    struct efx_arena *a = &slot->arena;
    struct efx_colset *s = n->b->set[stream];
    const struct efx_bobject *o = n->app->plan->program->objects[stream];
    struct efx_batch *b = &slot->batches[slot->step.n_batches];
    struct efx_col *cols = EFX_NEW_N(a, struct efx_col, s->n_cols + 1);
    if (cols == NULL) {
        return EFX_ENOMEM;
    }
    for (uint32_t c = 0; c < s->n_cols; c++) {
        cols[c] = s->lent != NULL
                      ? s->lent[c]
                      : (struct efx_col){o->schema.cols[c].type, s->data[c], s->valid[c]};
        bool nulls = false;
        for (uint32_t w = 0; cols[c].valid != NULL && w < efx_words(s->n_rows) && !nulls; w++) {
            nulls =
                (cols[c].valid[w] & efx_word(NULL, w, s->n_rows)) != efx_word(NULL, w, s->n_rows);
        }
        cols[c].valid = nulls ? cols[c].valid : NULL;
    }
    *b = (struct efx_batch){.n_rows = s->n_rows, .n_cols = s->n_cols, .cols = cols};
    if (room) {
        b->ts_ms = efx_arena_bytes(a, s->n_rows * sizeof *b->ts_ms);
        b->clk_ms = efx_arena_bytes(a, s->n_rows * sizeof *b->clk_ms);
        b->moment = efx_arena_bytes(a, s->n_rows * sizeof *b->moment);
        b->sel = EFX_NEW_N(a, uint64_t, efx_words(s->n_rows));
        if (b->ts_ms == NULL || b->clk_ms == NULL || b->moment == NULL || b->sel == NULL) {
            return EFX_ENOMEM;
        }
    }
    slot->streams[slot->step.n_batches++] = stream;
    slot->batch_of[stream] = slot->step.n_batches;
    return EFX_OK;
}

union own { /* arrays of a batch under construction are ours to write */
    const int64_t *shared;
    int64_t *own;
};

static void place_row(struct numbering *n, uint16_t stream, uint32_t row, int64_t ts,
                      efx_moment moment)
{
    struct efx_batch *b = &n->slot->batches[n->slot->batch_of[stream] - 1];
    union own ts_of = {.shared = b->ts_ms}, clk_of = {.shared = b->clk_ms};
    union {
        const efx_moment *shared;
        efx_moment *own;
    } moment_of = {.shared = b->moment};
    union {
        const uint64_t *shared;
        uint64_t *own;
    } sel_of = {.shared = b->sel};
    ts_of.own[row] = ts;
    clk_of.own[row] = n->app->clock_ms;
    moment_of.own[row] = moment;
    efx_bit_put(sel_of.own, row, true);
}

/* What is the same for all rows need not be said. */
static void close_batches(struct numbering *n)
{
    for (uint32_t i = 0; i < n->slot->step.n_batches; i++) {
        struct efx_batch *b = &n->slot->batches[i];
        bool all = true, same = true;
        for (uint32_t w = 0; w < efx_words(b->n_rows) && all; w++) {
            all = b->sel[w] == efx_word(NULL, w, b->n_rows);
        }
        for (uint32_t r = 0; r < b->n_rows && same && all; r++) {
            same = b->ts_ms[r] == b->clk_ms[r];
        }
        b->sel = all ? NULL : b->sel;
        b->clk_ms = same && all ? NULL : b->clk_ms;
    }
}

static enum efx_rc send_off(struct numbering *n)
{
    struct efx_app *app = n->app;
    struct step_slot *slot = n->slot;
    slot->step.clk_last_ms = app->clock_ms;
    app->next_turn += slot->step.n_turns;
    EFX_RET(efx_run__origins(app, slot));
    EFX_RET(efx_run__selections(app, slot));
    efx_run__publish(app);
    return EFX_OK;
}

static enum efx_rc publish(struct numbering *n)
{
    close_batches(n);
    return send_off(n);
}

static enum efx_rc begin_step(struct numbering *n)
{
    n->slot = efx_run__slot(n->app, EFX_STEP_EVENTS);
    for (uint32_t i = 0; i < n->b->n_used; i++) {
        EFX_RET(open_batch(n, n->b->used[i], true));
    }
    return EFX_OK;
}

/* The clock goes to `to_ms` before the next turn; far jumps end the step and carry on behind. */
static enum efx_rc move_clock(struct numbering *n, int64_t to_ms)
{
    struct efx_app *app = n->app;
    if (app->clock_ms == EFX_TS_NONE) {
        app->clock_ms = app->start_ms = to_ms;
        n->slot->step.clk_base_ms = n->slot->step.start_ms = to_ms;
        return EFX_OK;
    }
    if (to_ms <= app->clock_ms) {
        return EFX_OK;
    }
    if (to_ms - n->slot->step.clk_base_ms > SPAN_MAX) {
        EFX_RET(publish(n));
        EFX_RET(efx_run__advance_to(app, to_ms - 1, EFX_STEP_ADVANCE));
        EFX_RET(begin_step(n));
    }
    app->clock_ms = to_ms;
    return EFX_OK;
}

static enum efx_rc number_turn(struct numbering *n, struct efx_turn turn)
{
    struct efx_app *app = n->app;
    const struct efx_program *p = app->plan->program;
    if (turn.stream == EFX_TURN_CLOCK) {
        int64_t to_ms;
        if (!app->opts.virtual_clock) {
            return EFX_OK;
        }
        if (app->clock_ms == EFX_TS_NONE) { /* it stands at 0 before it has started */
            EFX_RET(move_clock(n, 0));
        }
        return __builtin_add_overflow(app->clock_ms, n->b->clock_ms[turn.row], &to_ms)
                   ? EFX_OK
                   : move_clock(n, to_ms);
    }
    if (turn.stream == EFX_TURN_REJECT) {
        const struct efx_reject *r = &n->b->rejects[turn.row];
        efx_run__count_reject(app, r->stream < p->n_objects ? p->objects[r->stream] : NULL,
                              r->code);
        return EFX_OK;
    }
    const struct efx_bobject *o = p->objects[turn.stream];
    int64_t ts;
    app->rows_in[o->id]++;
    if (!app->opts.virtual_clock) {
        EFX_RET(move_clock(n, n->now_ms));
    }
    uint16_t code = efx_run__judge(app, o, n->b->set[turn.stream], turn.row, app->clock_ms, &ts);
    if (code != 0) {
        efx_run__count_reject(app, o, code);
        return EFX_OK;
    }
    if (app->opts.virtual_clock) {
        EFX_RET(move_clock(n, ts));
    }
    struct efx_step *step = &n->slot->step;
    efx_moment m = efx_moment_event(app->clock_ms - step->clk_base_ms, 0, step->n_turns);
    place_row(n, turn.stream, turn.row, ts, m);
    n->slot->turns[step->n_turns] = turn;
    n->slot->moments[step->n_turns++] = m;
    return EFX_OK;
}

/* ---- the short way ---- */

/* Timestamps of the one stream's rows as they lie there; NULL = the long way must find them. */
static const int64_t *plain_times(const struct efx_bobject *o, const struct efx_colset *s)
{
    if (o->kind != EFX_OBJ_STREAM || o->conf.event_time_col == EFX_NO_COL) {
        return s->lent != NULL ? s->lent_ts : s->ts_ms;
    }
    uint32_t c = o->conf.event_time_col;
    const uint64_t *valid = s->lent != NULL ? s->lent[c].valid : s->valid[c];
    bool all = o->schema.cols[c].type == EFX_TYPE_LONG;
    for (uint32_t w = 0; valid != NULL && all && w < efx_words(s->n_rows); w++) {
        all = (valid[w] & efx_word(NULL, w, s->n_rows)) == efx_word(NULL, w, s->n_rows);
    }
    return !all ? NULL : s->lent != NULL ? s->lent[c].data : s->data[c];
}

EFX_KERNEL static uint64_t n_falls(const int64_t *ts, uint32_t n)
{
    uint64_t falls = 0;
    for (uint32_t i = 1; i < n; i++) {
        falls += ts[i] < ts[i - 1];
    }
    return falls;
}

/* Does time only go on, within the years and one step's span? */
static bool rises(const struct efx_app *app, const int64_t *ts, uint32_t n)
{
    return ts[0] >= app->clock_ms && ts[0] >= TS_MIN && ts[n - 1] <= TS_MAX &&
           n_falls(ts, n) == 0 && ts[n - 1] - app->clock_ms <= SPAN_MAX;
}

EFX_KERNEL static void moments_make(const int64_t *ts, int64_t base_ms, uint32_t n,
                                    efx_moment *restrict moment)
{
    for (uint32_t i = 0; i < n; i++) {
        moment[i] = (uint64_t)(ts[i] - base_ms) << 22 | 1u << 21 | i << 1;
    }
}

/* One stream brings all rows, nothing can be refused, no time goes back: only moments are
 * written, and turns stay where they are. NULL = take the long way. */
static const int64_t *short_way(const struct numbering *n)
{
    const struct efx_builder *b = n->b;
    if (b->n_used != 1 || b->n_clocks > 0 || b->n_rejects > 0 || !n->app->opts.virtual_clock ||
        n->app->clock_ms == EFX_TS_NONE) {
        return NULL;
    }
    const struct efx_colset *s = b->set[b->used[0]];
    const struct efx_bobject *o = n->app->plan->program->objects[b->used[0]];
    for (uint32_t c = 0; o->kind == EFX_OBJ_STREAM && c < o->schema.n_cols; c++) {
        if (o->schema.cols[c].not_null) {
            return NULL;
        }
    }
    const int64_t *ts = plain_times(o, s);
    return ts != NULL && rises(n->app, ts, s->n_rows) ? ts : NULL;
}

static enum efx_rc number_short(struct numbering *n, const int64_t *ts)
{
    struct efx_app *app = n->app;
    struct step_slot *slot = n->slot;
    struct efx_step *step = &slot->step;
    uint16_t stream = n->b->used[0];
    uint32_t n_rows = n->b->set[stream]->n_rows;
    EFX_RET(open_batch(n, stream, false));
    struct efx_batch *batch = &slot->batches[0];
    moments_make(ts, step->clk_base_ms, n_rows, slot->moments);
    step->turns = n->b->turns;
    step->n_turns = (uint16_t)n_rows;
    batch->ts_ms = ts;
    batch->moment = slot->moments;
    app->clock_ms = ts[n_rows - 1];
    app->rows_in[stream] += n_rows;
    return send_off(n);
}

static enum efx_rc number(struct efx_app *app, struct efx_builder *b)
{
    struct numbering n = {.app = app, .b = b};
    if (!app->opts.virtual_clock) {
        n.now_ms = app->opts.now_ms(app->opts.now_arg);
    }
    const int64_t *ts = short_way(&n);
    if (ts != NULL) {
        n.slot = efx_run__slot(app, EFX_STEP_EVENTS);
        return number_short(&n, ts);
    }
    EFX_RET(begin_step(&n));
    for (uint32_t t = 0; t < b->n_turns; t++) {
        EFX_RET(number_turn(&n, b->turns[t]));
    }
    return publish(&n);
}

/* Takes the builder: it belongs to the step until that is done. */
enum efx_rc efx_run__number(struct efx_app *app, struct efx_builder *b)
{
    bool lent = false;
    for (uint32_t i = 0; i < b->n_used; i++) {
        lent = lent || b->set[b->used[i]]->lent != NULL;
    }
    if (efx_run__needs_letters(app, b)) {
        struct efx_builder *with = app->spare[--app->n_spare];
        enum efx_rc rc = efx_run__rewrite(app, b, with);
        efx_builder_clear(b);
        app->spare[app->n_spare++] = b;
        if (rc != EFX_OK) {
            return rc;
        }
        b = with;
        lent = false;
    }
    uint64_t no = app->next_no;
    enum efx_rc rc = number(app, b);
    uint64_t last = app->next_no > no ? app->next_no - 1 : no;
    app->slots[last % EFX_STEPS_IN_FLIGHT].builder = b;
    if (lent) {
        efx_run__wait_done(app);
    }
    return rc;
}
