/* length(n): the last n events.
 *
 *   log     ░░░░██████████            front … entered, at most n; full: −front, then + the arriving
 *              ▲front     ▲entered
 *
 * In a PARTITION every copy has a ring of its own: see window_ring.c.
 *
 *   State   the log (or the rings)
 *   Limits  n >= 1
 */
#include "window_length.h"

enum { CHUNK = EFX_CHANGES_MAX / 2 };

static const struct efx_conf_key length_keys[] = {
    {.name = "n",
     .kind = EFX_CONF_LONG,
     .arg = 1,
     .off = offsetof(struct win_length_conf, n),
     .min = 1,
     .max = UINT32_MAX / 2,
     .help = "How many events are kept."},
    {0},
};

/* ---- one log for all ---- */

struct slice {
    uint32_t until; /* of the places looked at in this call */
    uint32_t n;     /* rows there */
    uint32_t *at;
    uint64_t first; /* number of row at[0] */
};

/* A change list has room for two changes a row, so all rows of the slice arrive in this call. */
static enum efx_rc slice_add(struct win_length *w, const struct efx_step *step,
                             const struct efx_rows *rows, struct slice *s)
{
    s->until = rows->until - rows->from < CHUNK ? rows->until : rows->from + CHUNK;
    s->at = efx_scratch(w->how.ctx, CHUNK * sizeof *s->at);
    s->n = efx_rows_list(&(struct efx_rows){rows->b, rows->from, s->until}, s->at);
    EFX_RET(efx_window__held_add(&w->held, step, rows->b, s->at, s->n, NULL, NULL));
    s->first = efx_log_end(w->held.log) - s->n;
    return EFX_OK;
}

static enum efx_rc slice_end(struct efx_rows *rows, const struct slice *s)
{
    rows->from = s->until;
    return rows->from < rows->until ? EFX_AGAIN : EFX_OK;
}

static enum efx_rc log_arrive(struct win_length *w, const struct efx_step *step,
                              struct efx_rows *rows, struct efx_changes *out)
{
    struct win_list l;
    struct slice s;
    efx_log_kill_until(w->held.log, w->front);
    efx_window__held_begin(&w->held, &l, out);
    EFX_RET(slice_add(w, step, rows, &s));
    for (uint32_t i = 0; i < s.n; i++) {
        efx_moment moment = efx_op_row_moment(step, rows->b, s.at[i]);
        int64_t clk_ms = efx_batch_clk_ms(rows->b, s.at[i]);
        if (s.first + i - w->front == w->n) {
            efx_window__list_held(&w->held, &l, EFX_ROW_EXPIRED, w->front, moment, clk_ms);
            w->front++;
        }
        struct efx_change *c = win_change(&l, EFX_ROW_CURRENT, moment, clk_ms);
        c->turn = efx_window__turn(step, rows->b, s.at[i]);
        c->row = s.at[i];
        c->arrives = 1;
    }
    efx_window__held_end(&w->held, &l);
    return slice_end(rows, &s);
}

/* One group: once the window is full, every row that comes takes the oldest out. */
static enum efx_rc log_pairs(struct win_length *w, struct efx_rows *rows, const struct slice *s,
                             struct efx_slide *out)
{
    uint64_t *number = efx_scratch(w->how.ctx, (s->n + 1) * sizeof *number);
    uint64_t held = s->first - w->front;
    uint32_t n_room = held < w->n ? (uint32_t)(w->n - held < s->n ? w->n - held : s->n) : 0;
    uint32_t n_left = s->n - n_room;
    memcpy(out->row, s->at, s->n * sizeof *out->row);
    for (uint32_t k = n_room / 64; k < efx_words(s->n); k++) {
        uint64_t word = efx_word(NULL, k, s->n);
        out->leaves[k] = k == n_room / 64 ? word & UINT64_MAX << n_room % 64 : word;
    }
    for (uint32_t i = 0; i < n_left; i++) {
        number[i] = w->front + i;
    }
    w->front += n_left;
    out->n = s->n;
    out->pairs = true;
    out->left = efx_window__held_left(&w->held, number, n_left);
    return slice_end(rows, s);
}

static enum efx_rc log_slide(struct win_length *w, const struct efx_step *step,
                             struct efx_rows *rows, struct efx_slide *out)
{
    struct slice s;
    efx_log_kill_until(w->held.log, w->front);
    EFX_RET(slice_add(w, step, rows, &s));
    if (out->may_pair && w->how.group_col == EFX_NO_COL) {
        return log_pairs(w, rows, &s, out);
    }
    uint64_t *number = efx_scratch(w->how.ctx, (s.n + 1) * sizeof *number);
    const uint32_t *group =
        w->how.group_col != EFX_NO_COL ? rows->b->cols[w->how.group_col].data : NULL;
    uint32_t k = 0, n_left = 0;
    for (uint32_t i = 0; i < s.n; i++) {
        if (s.first + i - w->front == w->n) {
            if (group != NULL) {
                out->id[k] = efx_log_group(w->held.log, w->front);
            }
            out->leaves[k / 64] |= (uint64_t)1 << k % 64;
            out->row[k++] = n_left;
            number[n_left++] = w->front++;
        }
        if (group != NULL) {
            out->id[k] = group[s.at[i]];
        }
        out->row[k++] = s.at[i];
    }
    out->n = k;
    out->left = efx_window__held_left(&w->held, number, n_left);
    return slice_end(rows, &s);
}

static enum efx_rc length_flow(struct efx_window *self, const struct efx_step *step,
                               struct efx_rows *rows, struct efx_flow *out)
{
    struct win_length *w = (struct win_length *)self;
    struct slice s;
    EFX_ASSERT(!w->by_copy);
    efx_log_kill_until(w->held.log, w->front);
    EFX_RET(slice_add(w, step, rows, &s));
    uint64_t *number = efx_scratch(w->how.ctx, (s.n + 1) * sizeof *number);
    out->n_left = 0;
    for (uint32_t i = 0; i < s.n; i++) {
        if (s.first + i - w->front == w->n) {
            out->moment[out->n_left] = efx_op_row_moment(step, rows->b, s.at[i]);
            number[out->n_left++] = w->front++;
        }
        out->before[i] = out->n_left;
    }
    out->n = s.n;
    out->left = efx_window__held_cols(&w->held, number, out->n_left);
    return slice_end(rows, &s);
}

/* ---- the descriptor's methods: log or rings ---- */

static enum efx_rc length_arrive(struct efx_window *self, const struct efx_step *step,
                                 struct efx_rows *rows, struct efx_changes *out)
{
    struct win_length *w = (struct win_length *)self;
    return w->by_copy ? efx_window__ring_arrive(w, step, rows, out)
                      : log_arrive(w, step, rows, out);
}

static enum efx_rc length_slide(struct efx_window *self, const struct efx_step *step,
                                struct efx_rows *rows, struct efx_slide *out)
{
    struct win_length *w = (struct win_length *)self;
    return w->by_copy ? efx_window__ring_slide(w, step, rows, out) : log_slide(w, step, rows, out);
}

static enum efx_rc length_fire(struct efx_window *self, const struct efx_step *step,
                               efx_moment until, struct efx_changes *out)
{
    (void)self;
    (void)step;
    (void)until;
    out->n = 0;
    return EFX_OK;
}

static int64_t length_next_due(const struct efx_window *self)
{
    (void)self;
    return EFX_NEVER_MS;
}

static void length_origin_set(struct efx_window *self, int64_t t0_ms)
{
    (void)self;
    (void)t0_ms;
}

static enum efx_rc length_content(struct efx_window *self, uint64_t *from, struct efx_changes *out)
{
    struct win_length *w = (struct win_length *)self;
    if (w->by_copy) {
        return efx_window__ring_content(w, from, out);
    }
    efx_log_kill_until(w->held.log, w->front);
    return efx_window__held_content(&w->held, from, out);
}

static void length_mark(struct efx_window *self, const struct efx_mark *mark)
{
    struct win_length *w = (struct win_length *)self;
    if (w->by_copy) {
        efx_keyed_mark(w->copies.table, mark);
    } else {
        efx_log_kill_until(w->held.log, w->front);
        efx_log_mark(w->held.log, mark);
    }
}

static enum efx_rc length_slice(struct efx_window *self, uint32_t budget_rows, struct efx_save *out)
{
    struct win_length *w = (struct win_length *)self;
    return w->by_copy ? efx_keyed_slice(w->copies.table, budget_rows, out)
                      : efx_window__held_slice(&w->held, budget_rows, out);
}

static enum efx_rc length_load(struct efx_window *self, struct efx_kg_range kg,
                               struct efx_reader *r, struct efx_err *err)
{
    struct win_length *w = (struct win_length *)self;
    struct efx_reader section;
    uint32_t key_group;
    while (efx_load_next(r, kg, &key_group, &section)) {
        EFX_RET(w->by_copy ? efx_keyed_load(w->copies.table, key_group, &section, NULL)
                           : efx_window__held_load(&w->held, key_group, &section));
    }
    return r->bad ? EFX_FAIL(err, EFX_EPARSE, EFX_KIND_ENV, 0, "saved length window is damaged")
                  : EFX_OK;
}

static enum efx_rc length_load_end(struct efx_window *self, struct efx_err *err)
{
    struct win_length *w = (struct win_length *)self;
    (void)err;
    if (!w->by_copy) {
        EFX_RET(efx_log_settle(w->held.log));
        w->front = efx_log_head(w->held.log);
    }
    return EFX_OK;
}

static size_t length_bytes(const struct efx_window *self)
{
    const struct win_length *w = (const struct win_length *)self;
    return w->by_copy ? efx_keyed_bytes(w->copies.table) : efx_log_bytes(w->held.log);
}

static void length_close(struct efx_window *self)
{
    struct win_length *w = (struct win_length *)self;
    efx_window__held_close(&w->held);
    efx_window__copies_close(&w->copies);
}

static enum efx_rc length_open(struct efx_window *self, const struct efx_window_open *how,
                               struct efx_err *err)
{
    struct win_length *w = (struct win_length *)self;
    (void)err;
    w->how = *how;
    w->n = (uint64_t)((const struct win_length_conf *)how->conf)->n;
    w->by_copy = how->copy_col != EFX_NO_COL;
    return w->by_copy ? efx_window__ring_open(w)
                      : efx_window__held_open(&w->held, &w->how, false, false);
}

const struct efx_window_vt efx_window__length = {
    .base = {.abi = EFX_ABI,
             .vt_bytes = sizeof(struct efx_window_vt),
             .name = "length",
             .help = "The last n events.",
             .conf = length_keys,
             .conf_bytes = sizeof(struct win_length_conf),
             .self_bytes = sizeof(struct win_length),
             .traits = {.many_if_expired = 1,
                        .holds_rows = 1,
                        .ordered = 1,
                        .evicts = EFX_EVICTS_BY_ARRIVAL}},
    .open = length_open,
    .arrive = length_arrive,
    .fire = length_fire,
    .slide = length_slide,
    .flow = length_flow,
    .next_due_ms = length_next_due,
    .origin_set = length_origin_set,
    .content = length_content,
    .mark = length_mark,
    .slice = length_slice,
    .load = length_load,
    .load_end = length_load_end,
    .bytes = length_bytes,
    .close = length_close,
};
