/* time(d) = sliding(d): events younger than d; one of timestamp t leaves at t + d.
 *
 *   log     ██████████▓██████████     rows in order of arrival; dues mostly grow with it
 *              ▲front  ▲ a late row: its due lies before that of rows ahead of it
 *   late    heap of (due, number) of such rows; the next to leave is the lesser of front and top
 *
 * A row is in the order of the log if no row before it is due later. Walking from the front, a row
 * due before one that the walk has passed is late: it stands in the heap, or has left already.
 *
 * As long as no row is late, stretches are walked instead of rows: what is due before a row is the
 * next stretch of the log, and rows of one time enter together (`slide`, `flow`). Such rows are not
 * noted one by one: all below `gone` goes when the next call begins.
 *
 * In a PARTITION rows due at one time leave copy by copy, in the order of births: they are
 * collected and sorted before they are listed.
 *
 *   Late    a row that is due when it comes passes as current and leaves at once, with its moment
 *   Order   due, then arrival (in a PARTITION: due, birth, arrival)
 *   State   the log; all else is made from it after a load
 */
#include "window.h"

#include <stdlib.h>

enum { CHUNK = EFX_CHANGES_MAX / 2 };

struct time_conf {
    int64_t d_ms;
};

struct same { /* rows due at one time */
    int64_t birth;
    uint64_t number;
};

struct win_time {
    struct efx_window base;
    struct efx_window_open how;
    int64_t d_ms;
    struct win_held held;
    struct win_timers late;
    uint64_t entered;                /* rows below this number have arrived */
    uint64_t front;                  /* next row in order */
    uint64_t gone;                   /* all rows below have left */
    int64_t front_due;               /* EFX_NEVER_MS = none */
    int64_t walked_max, entered_max; /* greatest dues in order, behind front and of all */
    int64_t
        once_due; /* rows of this due, from `once_from` on, came when it was reached: they left */
    uint64_t once_from;
    uint64_t n_odd;    /* rows from front on that are not in order: late, or gone at once */
    uint32_t n_ahead;  /* rows of the slice that are in the log and did not arrive yet */
    struct same *same; /* [n_same] being listed */
    uint32_t n_same, n_same_max, same_pos;
    int64_t same_due;
};

static const struct efx_conf_key time_keys[] = {
    {.name = "d",
     .kind = EFX_CONF_DURATION,
     .arg = 1,
     .off = offsetof(struct time_conf, d_ms),
     .min = 1,
     .max = INT64_MAX / 4,
     .help = "How long an event stays."},
    {0},
};

/* ---- which row leaves next ---- */

static void front_find(struct win_time *w)
{
    w->front_due = EFX_NEVER_MS;
    for (; w->front < w->entered; w->front++) {
        if (w->n_odd == 0) {
            w->front_due = efx_log_due(w->held.log, w->front);
            return;
        }
        if (efx_log_is_live(w->held.log, w->front)) {
            int64_t due = efx_log_due(w->held.log, w->front);
            bool once = due == w->once_due && w->front >= w->once_from;
            if (due >= w->walked_max && !once) {
                w->front_due = due;
                return;
            }
        }
        w->n_odd--;
    }
}

static int64_t next_due(const struct win_time *w)
{
    int64_t late = win_timers_due(&w->late);
    return late < w->front_due ? late : w->front_due;
}

/* Takes the row that leaves next. */
static uint64_t take_next(struct win_time *w)
{
    const struct win_timer *top = w->late.heap;
    if (w->late.n > 0 &&
        (top->due_ms < w->front_due || (top->due_ms == w->front_due && top->no < w->front))) {
        uint64_t number = top->no;
        efx_window__timer_pop(&w->late);
        return number;
    }
    w->walked_max = w->front_due;
    uint64_t number = w->front++;
    front_find(w);
    return number;
}

/* Starts a call: what left goes. Behind the front only late rows are left, so without them all goes
 * at once. */
static void begin(struct win_time *w)
{
    struct win_held *h = &w->held;
    uint64_t until = w->late.n == 0 ? w->front : w->gone;
    uint32_t n = 0;
    efx_log_kill_until(h->log, until);
    for (uint32_t i = 0; i < h->n_doomed; i++) {
        if (h->doomed[i] >= until) {
            h->doomed[n++] = h->doomed[i];
        }
    }
    h->n_doomed = n;
    efx_window__kill_doomed(h);
}

/* Row `number`, the last of the log that arrived; *at_once: it is due already. Rows due at the same
 * time that came before the clock was there wait for their timer. */
static enum efx_rc enter(struct win_time *w, uint64_t number, int64_t due_ms, int64_t clk_ms,
                         bool *at_once)
{
    w->entered = number + 1;
    bool in_order = due_ms >= w->entered_max;
    *at_once = due_ms <= clk_ms;
    if (*at_once) {
        if (in_order && w->once_due != due_ms) {
            w->once_due = due_ms;
            w->once_from = number;
        }
        if (w->front == number) {
            w->front++;
        } else {
            w->n_odd++;
        }
        return EFX_OK;
    }
    if (!in_order) {
        w->n_odd++;
        return efx_window__timer_add(&w->late, &(struct win_timer){.due_ms = due_ms, .no = number});
    }
    w->entered_max = due_ms;
    if (w->front_due == EFX_NEVER_MS) {
        w->front = number;
        w->front_due = due_ms;
    }
    return EFX_OK;
}

/* ---- rows of a slice into the log ---- */

struct slice {
    uint32_t until; /* of the places looked at in this call */
    uint32_t n;     /* rows there */
    uint32_t *at;
    int64_t *due_ms; /* [n] */
    uint64_t first;  /* number of row at[0] */
};

static enum efx_rc slice_add(struct win_time *w, const struct efx_step *step,
                             const struct efx_rows *rows, struct slice *s)
{
    struct efx_ctx *ctx = w->how.ctx;
    s->until = rows->until - rows->from < CHUNK ? rows->until : rows->from + CHUNK;
    s->at = efx_scratch(ctx, CHUNK * sizeof *s->at);
    s->n = efx_rows_list(&(struct efx_rows){rows->b, rows->from, s->until}, s->at);
    s->due_ms = efx_scratch(ctx, (s->n + 1) * sizeof *s->due_ms);
    for (uint32_t i = 0; i < s->n; i++) {
        s->due_ms[i] = win_add_ms(efx_step_time_ms(step, rows->b, s->at[i]), w->d_ms);
    }
    uint32_t ahead = w->n_ahead;
    EFX_RET(efx_window__held_add(&w->held, step, rows->b, s->at + ahead, s->n - ahead,
                                 s->due_ms + ahead, NULL));
    s->first = efx_log_end(w->held.log) - s->n;
    w->n_ahead = s->n;
    return EFX_OK;
}

/* Row i is the first that did not arrive. */
static enum efx_rc slice_end(struct win_time *w, struct efx_rows *rows, const struct slice *s,
                             uint32_t i)
{
    w->n_ahead = s->n - i;
    rows->from = i < s->n ? s->at[i] : s->until;
    return rows->from < rows->until ? EFX_AGAIN : EFX_OK;
}

/* ---- rows of one time, as long as none is late ---- */

struct stretch { /* rows i .. until - 1 of the slice, before which all is due until `due` */
    uint32_t until;
    int64_t due_ms;
};

/* Are row i and those of its time such that all is in order? */
static bool stretch_find(const struct win_time *w, const struct efx_step *step,
                         const struct efx_rows *rows, const struct slice *s, uint32_t i,
                         struct stretch *out)
{
    int64_t clk_ms = efx_batch_clk_ms(rows->b, s->at[i]), due_ms = s->due_ms[i];
    if (w->late.n > 0 || w->n_odd > 0 || due_ms <= clk_ms || due_ms < w->entered_max ||
        !efx_moment_is_event(efx_op_row_moment(step, rows->b, s->at[i]))) {
        return false;
    }
    uint32_t j = i + 1;
    bool by_clk = rows->b->clk_ms == NULL && step->virtual_clock; /* the due says the clock */
    while (j < s->n && s->due_ms[j] == due_ms &&
           (by_clk || efx_batch_clk_ms(rows->b, s->at[j]) == clk_ms)) {
        j++;
    }
    *out = (struct stretch){j, clk_ms};
    return true;
}

/* At most n_max rows from the front on that are due until due_ms and lie in one segment leave;
 * returns how many. */
static uint32_t front_leaves(struct win_time *w, int64_t due_ms, uint32_t n_max,
                             const int64_t **dues, const uint32_t **group)
{
    uint32_t n = 0, most;
    if (w->front_due > due_ms || n_max == 0) {
        return 0;
    }
    most = efx_log_stretch(w->held.log, w->front, dues, group);
    const int64_t *due = *dues;
    most = w->entered - w->front < most ? (uint32_t)(w->entered - w->front) : most;
    most = most < n_max ? most : n_max;
    while (n < most && due[n] <= due_ms) {
        n++;
    }
    w->walked_max = due[n - 1];
    w->front += n;
    w->gone = w->front;
    if (n < most) {
        w->front_due = due[n];
    } else {
        front_find(w);
    }
    return n;
}

/* So many rows from row i on, of one time, are there now. */
static void stretch_enters(struct win_time *w, const struct slice *s, uint32_t i, uint32_t n)
{
    w->entered = s->first + i + n;
    w->entered_max = s->due_ms[i];
    if (w->front_due == EFX_NEVER_MS) {
        w->front = s->first + i;
        w->front_due = s->due_ms[i];
    }
}

/* ---- what is due ---- */

static int by_birth(const void *x, const void *y)
{
    const struct same *a = x, *b = y;
    if (a->birth != b->birth) {
        return a->birth < b->birth ? -1 : 1;
    }
    return a->number < b->number ? -1 : a->number > b->number;
}

/* All rows due at one time, by birth. */
static enum efx_rc same_collect(struct win_time *w, int64_t due_ms)
{
    struct efx_mem *mem = w->how.mem;
    w->n_same = w->same_pos = 0;
    w->same_due = due_ms;
    while (next_due(w) == due_ms) {
        if (w->n_same == w->n_same_max) {
            uint32_t max = w->n_same_max == 0 ? 64 : w->n_same_max * 2;
            void *more = w->same == NULL
                             ? mem->alloc(mem, max * sizeof *w->same)
                             : efx_mem_grow(mem, w->same, w->n_same_max * sizeof *w->same,
                                            max * sizeof *w->same);
            if (more == NULL) {
                return EFX_ENOMEM;
            }
            w->same = more;
            w->n_same_max = max;
        }
        uint64_t number = take_next(w);
        w->same[w->n_same++] = (struct same){efx_window__held_birth(&w->held, number), number};
    }
    qsort(w->same, w->n_same, sizeof *w->same, by_birth);
    return EFX_OK;
}

static enum efx_rc leave(struct win_time *w, struct win_list *l, uint64_t number, efx_moment moment,
                         int64_t clk_ms)
{
    efx_window__list_held(&w->held, l, EFX_ROW_EXPIRED, number, moment, clk_ms);
    return efx_window__doom(&w->held, number);
}

/* Lists what is due before `until`; EFX_AGAIN: no room. */
static enum efx_rc list_due(struct win_time *w, const struct efx_step *step, efx_moment until,
                            struct win_list *l)
{
    bool by_copy = w->how.copy_col != EFX_NO_COL;
    for (;;) {
        for (; w->same_pos < w->n_same; w->same_pos++) {
            if (win_room(l) == 0) {
                return EFX_AGAIN;
            }
            EFX_RET(leave(w, l, w->same[w->same_pos].number,
                          win_timer_moment(step, w->how.rank, w->same_due), w->same_due));
        }
        int64_t due = next_due(w);
        if (!win_is_due(step, w->how.rank, due, until)) {
            return EFX_OK;
        }
        if (by_copy) {
            EFX_RET(same_collect(w, due));
        } else if (win_room(l) == 0) {
            return EFX_AGAIN;
        } else {
            EFX_RET(leave(w, l, take_next(w), win_timer_moment(step, w->how.rank, due), due));
        }
    }
}

/* One row: what is due before it, the row, and the row again if it is due already. EFX_AGAIN: no
 * room, the row did not arrive. */
static enum efx_rc arrive_one(struct win_time *w, const struct efx_step *step,
                              const struct efx_rows *rows, const struct slice *s, uint32_t i,
                              struct win_list *l)
{
    const struct efx_batch *b = rows->b;
    uint32_t row = s->at[i];
    efx_moment moment = efx_op_row_moment(step, b, row);
    int64_t clk_ms = efx_batch_clk_ms(b, row);
    EFX_RET(list_due(w, step, moment, l));
    if (win_room(l) < 2) {
        return EFX_AGAIN;
    }
    bool at_once;
    EFX_RET(enter(w, s->first + i, s->due_ms[i], clk_ms, &at_once));
    struct efx_change *c = win_change(l, EFX_ROW_CURRENT, moment, clk_ms);
    c->turn = efx_window__turn(step, b, row);
    c->row = row;
    c->arrives = 1;
    if (w->how.copy_col != EFX_NO_COL) {
        c->copy = ((const uint32_t *)b->cols[w->how.copy_col].data)[row];
        c->birth = ((const int64_t *)b->cols[w->how.copy_col + 1].data)[row];
    }
    return at_once ? leave(w, l, s->first + i, moment, clk_ms) : EFX_OK;
}

static enum efx_rc time_arrive(struct efx_window *self, const struct efx_step *step,
                               struct efx_rows *rows, struct efx_changes *out)
{
    struct win_time *w = (struct win_time *)self;
    struct win_list l;
    struct slice s;
    uint32_t i = 0;
    enum efx_rc rc = EFX_OK;
    begin(w);
    efx_window__held_begin(&w->held, &l, out);
    EFX_RET(slice_add(w, step, rows, &s));
    for (; i < s.n && rc == EFX_OK; i += rc == EFX_OK) {
        rc = arrive_one(w, step, rows, &s, i, &l);
    }
    if (rc < 0) {
        return rc;
    }
    efx_window__held_end(&w->held, &l);
    return slice_end(w, rows, &s, i);
}

static enum efx_rc time_fire(struct efx_window *self, const struct efx_step *step, efx_moment until,
                             struct efx_changes *out)
{
    struct win_time *w = (struct win_time *)self;
    struct win_list l;
    begin(w);
    efx_window__held_begin(&w->held, &l, out);
    enum efx_rc rc = list_due(w, step, until, &l);
    if (rc >= 0) {
        efx_window__held_end(&w->held, &l);
    }
    return rc;
}

/* ---- the fast way: ops ---- */

struct ops {
    struct efx_slide *out;
    uint64_t *number; /* [n_left] */
    uint32_t n_left;
    const uint32_t *id; /* group column; NULL = none */
    bool by_number;     /* groups of some rows that leave are not in out->id yet */
};

static inline void op_leaves(struct ops *o, uint64_t number)
{
    uint32_t k = o->out->n++;
    o->out->row[k] = o->n_left;
    o->out->leaves[k / 64] |= (uint64_t)1 << k % 64;
    o->number[o->n_left++] = number;
    o->by_number = true;
}

/* Sets bits from .. from + n - 1. */
static void bits_set(uint64_t *bits, uint32_t from, uint32_t n)
{
    for (uint32_t until = from + n; from < until; from = (from / 64 + 1) * 64) {
        uint64_t word = UINT64_MAX << from % 64;
        bits[from / 64] |= until / 64 > from / 64 ? word : word & ~(UINT64_MAX << until % 64);
    }
}

/* Rows of one time. EFX_AGAIN: no room for those from *i on. */
static enum efx_rc slide_stretch(struct win_time *w, const struct slice *s,
                                 const struct stretch *st, uint32_t *i, struct ops *o)
{
    struct efx_slide *out = o->out;
    const uint32_t *group;
    const int64_t *due;
    for (uint32_t n; w->front_due <= st->due_ms; out->n += n) {
        uint64_t number = w->front;
        n = front_leaves(w, st->due_ms, EFX_SLIDE_MAX - out->n, &due, &group);
        if (n == 0) {
            return EFX_AGAIN;
        }
        bits_set(out->leaves, out->n, n);
        for (uint32_t k = 0; k < n; k++) {
            out->row[out->n + k] = o->n_left + k;
            o->number[o->n_left + k] = number + k;
        }
        if (o->id != NULL) {
            memcpy(out->id + out->n, group, n * sizeof *group);
        }
        o->n_left += n;
    }
    uint32_t room = EFX_SLIDE_MAX - out->n, n = st->until - *i < room ? st->until - *i : room;
    memcpy(out->row + out->n, s->at + *i, n * sizeof *s->at);
    if (o->id != NULL && n > 0 && s->at[*i + n - 1] - s->at[*i] == n - 1) {
        memcpy(out->id + out->n, o->id + s->at[*i], n * sizeof *o->id);
    } else if (o->id != NULL) {
        for (uint32_t k = 0; k < n; k++) {
            out->id[out->n + k] = o->id[s->at[*i + k]];
        }
    }
    if (n > 0) {
        stretch_enters(w, s, *i, n);
    }
    out->n += n;
    *i += n;
    return *i < st->until ? EFX_AGAIN : EFX_OK;
}

/* Groups of the ops that take rows out: the last column of left. */
static void ops_groups(struct efx_slide *out)
{
    const uint32_t *group = out->left->cols[out->left->n_cols - 1].data;
    for (uint32_t k = 0; k < efx_words(out->n); k++) {
        for (uint64_t left = out->leaves[k]; left != 0; left &= left - 1) {
            uint32_t i = k * 64 + (uint32_t)__builtin_ctzll(left);
            out->id[i] = group[out->row[i]];
        }
    }
}

/* EFX_AGAIN: no room for the row. */
static enum efx_rc slide_one(struct win_time *w, const struct efx_step *step,
                             const struct efx_rows *rows, const struct slice *s, uint32_t i,
                             struct ops *o)
{
    uint32_t row = s->at[i];
    int64_t clk_ms = efx_batch_clk_ms(rows->b, row);
    int64_t due = next_due(w);
    if (due <= clk_ms) {
        efx_moment moment = efx_op_row_moment(step, rows->b, row);
        for (; win_is_due(step, w->how.rank, due, moment); due = next_due(w)) {
            if (o->out->n + 2 >= EFX_SLIDE_MAX) {
                return EFX_AGAIN;
            }
            uint64_t number = take_next(w);
            op_leaves(o, number);
            EFX_RET(efx_window__doom(&w->held, number));
        }
    }
    if (o->out->n + 2 > EFX_SLIDE_MAX) {
        return EFX_AGAIN;
    }
    bool at_once;
    EFX_RET(enter(w, s->first + i, s->due_ms[i], clk_ms, &at_once));
    uint32_t k = o->out->n++;
    o->out->row[k] = row;
    if (o->id != NULL) {
        o->out->id[k] = o->id[row];
    }
    if (at_once) {
        op_leaves(o, s->first + i);
        return efx_window__doom(&w->held, s->first + i);
    }
    return EFX_OK;
}

static enum efx_rc time_slide(struct efx_window *self, const struct efx_step *step,
                              struct efx_rows *rows, struct efx_slide *out)
{
    struct win_time *w = (struct win_time *)self;
    struct slice s;
    uint32_t i = 0;
    enum efx_rc rc = EFX_OK;
    begin(w);
    struct ops o = {
        .out = out,
        .number = efx_scratch(w->how.ctx, EFX_SLIDE_MAX * sizeof *o.number),
        .id = w->how.group_col != EFX_NO_COL ? rows->b->cols[w->how.group_col].data : NULL,
    };
    out->n = 0;
    EFX_RET(slice_add(w, step, rows, &s));
    while (i < s.n && rc == EFX_OK) {
        struct stretch st;
        if (stretch_find(w, step, rows, &s, i, &st)) {
            rc = slide_stretch(w, &s, &st, &i, &o);
        } else {
            rc = slide_one(w, step, rows, &s, i, &o);
            i += rc == EFX_OK;
        }
    }
    if (rc < 0) {
        return rc;
    }
    if (o.by_number && o.id != NULL) {
        out->left = efx_window__held_left(&w->held, o.number, o.n_left);
        ops_groups(out);
    } else {
        out->left = efx_window__held_cols(&w->held, o.number, o.n_left);
    }
    return slice_end(w, rows, &s, i);
}

/* ---- the fast way of joins ---- */

struct flow {
    struct efx_flow *out;
    uint64_t *number; /* [EFX_SLIDE_MAX] */
};

static enum efx_rc flow_leaves(struct win_time *w, struct flow *f, uint64_t number,
                               efx_moment moment)
{
    f->out->moment[f->out->n_left] = moment;
    f->number[f->out->n_left++] = number;
    return efx_window__doom(&w->held, number);
}

/* EFX_AGAIN: no room for the row. */
static enum efx_rc flow_one(struct win_time *w, const struct efx_step *step,
                            const struct efx_rows *rows, const struct slice *s, uint32_t i,
                            struct flow *f)
{
    uint32_t row = s->at[i];
    int64_t clk_ms = efx_batch_clk_ms(rows->b, row);
    int64_t due = next_due(w);
    if (due <= clk_ms) {
        efx_moment moment = efx_op_row_moment(step, rows->b, row);
        for (; win_is_due(step, w->how.rank, due, moment); due = next_due(w)) {
            if (f->out->n_left + 1 >= EFX_SLIDE_MAX) {
                return EFX_AGAIN;
            }
            EFX_RET(flow_leaves(w, f, take_next(w), win_timer_moment(step, w->how.rank, due)));
        }
    }
    bool at_once;
    f->out->before[f->out->n++] = f->out->n_left;
    EFX_RET(enter(w, s->first + i, s->due_ms[i], clk_ms, &at_once));
    return at_once ? flow_leaves(w, f, s->first + i, efx_op_row_moment(step, rows->b, row))
                   : EFX_OK;
}

/* Rows of one time. EFX_AGAIN: no room for those from *i on. */
static enum efx_rc flow_stretch(struct win_time *w, const struct efx_step *step,
                                const struct stretch *st, const struct slice *s, uint32_t *i,
                                struct flow *f)
{
    struct efx_flow *out = f->out;
    const uint32_t *group;
    const int64_t *due;
    for (uint32_t n; w->front_due <= st->due_ms; out->n_left += n) {
        uint64_t number = w->front;
        n = front_leaves(w, st->due_ms, EFX_SLIDE_MAX - 1 - out->n_left, &due, &group);
        if (n == 0) {
            return EFX_AGAIN;
        }
        for (uint32_t k = 0; k < n; k++) {
            f->number[out->n_left + k] = number + k;
            out->moment[out->n_left + k] = win_timer_moment(step, w->how.rank, due[k]);
        }
    }
    for (uint32_t k = *i; k < st->until; k++) {
        out->before[out->n++] = out->n_left;
    }
    stretch_enters(w, s, *i, st->until - *i);
    *i = st->until;
    return EFX_OK;
}

static enum efx_rc time_flow(struct efx_window *self, const struct efx_step *step,
                             struct efx_rows *rows, struct efx_flow *out)
{
    struct win_time *w = (struct win_time *)self;
    struct slice s;
    uint32_t i = 0;
    enum efx_rc rc = EFX_OK;
    begin(w);
    struct flow f = {out, efx_scratch(w->how.ctx, EFX_SLIDE_MAX * sizeof *f.number)};
    out->n = out->n_left = 0;
    EFX_RET(slice_add(w, step, rows, &s));
    while (i < s.n && rc == EFX_OK && out->n_left < EFX_SLIDE_MAX - 1) {
        struct stretch st;
        if (stretch_find(w, step, rows, &s, i, &st)) {
            rc = flow_stretch(w, step, &st, &s, &i, &f);
        } else {
            rc = flow_one(w, step, rows, &s, i, &f);
            i += rc == EFX_OK;
        }
    }
    if (rc < 0) {
        return rc;
    }
    out->left = efx_window__held_cols(&w->held, f.number, out->n_left);
    return slice_end(w, rows, &s, i);
}

/* ---- the rest ---- */

static int64_t time_next_due(const struct efx_window *self)
{
    return next_due((const struct win_time *)self);
}

static void time_origin_set(struct efx_window *self, int64_t t0_ms)
{
    (void)self;
    (void)t0_ms;
}

static enum efx_rc time_content(struct efx_window *self, uint64_t *from, struct efx_changes *out)
{
    struct win_time *w = (struct win_time *)self;
    begin(w);
    return efx_window__held_content(&w->held, from, out);
}

static void time_mark(struct efx_window *self, const struct efx_mark *mark)
{
    struct win_time *w = (struct win_time *)self;
    begin(w);
    efx_log_mark(w->held.log, mark);
}

static enum efx_rc time_slice(struct efx_window *self, uint32_t budget_rows, struct efx_save *out)
{
    return efx_window__held_slice(&((struct win_time *)self)->held, budget_rows, out);
}

static enum efx_rc time_load(struct efx_window *self, struct efx_kg_range kg, struct efx_reader *r,
                             struct efx_err *err)
{
    struct win_time *w = (struct win_time *)self;
    struct efx_reader section;
    uint32_t key_group;
    while (efx_load_next(r, kg, &key_group, &section)) {
        EFX_RET(efx_window__held_load(&w->held, key_group, &section));
    }
    return r->bad ? EFX_FAIL(err, EFX_EPARSE, EFX_KIND_ENV, 0, "saved time window is damaged")
                  : EFX_OK;
}

static enum efx_rc time_load_end(struct efx_window *self, struct efx_err *err)
{
    struct win_time *w = (struct win_time *)self;
    (void)err;
    EFX_RET(efx_log_settle(w->held.log));
    w->front = efx_log_head(w->held.log);
    w->entered = efx_log_end(w->held.log);
    w->walked_max = w->entered_max = INT64_MIN;
    for (uint64_t n = w->front; n < w->entered; n++) {
        if (!efx_log_is_live(w->held.log, n)) {
            w->n_odd++;
            continue;
        }
        int64_t due = efx_log_due(w->held.log, n);
        if (due >= w->entered_max) {
            w->entered_max = due;
        } else {
            w->n_odd++;
            EFX_RET(efx_window__timer_add(&w->late, &(struct win_timer){.due_ms = due, .no = n}));
        }
    }
    front_find(w);
    return EFX_OK;
}

static size_t time_bytes(const struct efx_window *self)
{
    const struct win_time *w = (const struct win_time *)self;
    return efx_log_bytes(w->held.log) + w->late.n_max * sizeof *w->late.heap;
}

static void time_close(struct efx_window *self)
{
    struct win_time *w = (struct win_time *)self;
    efx_window__held_close(&w->held);
    efx_window__timers_close(&w->late);
    if (w->same != NULL) {
        w->how.mem->free(w->how.mem, w->same, w->n_same_max * sizeof *w->same);
        w->same = NULL;
    }
}

static enum efx_rc time_open(struct efx_window *self, const struct efx_window_open *how,
                             struct efx_err *err)
{
    struct win_time *w = (struct win_time *)self;
    (void)err;
    w->how = *how;
    w->d_ms = ((const struct time_conf *)how->conf)->d_ms;
    w->late.mem = how->mem;
    w->front_due = w->once_due = EFX_NEVER_MS;
    w->walked_max = w->entered_max = INT64_MIN;
    return efx_window__held_open(&w->held, &w->how, true, false);
}

const struct efx_window_vt efx_window__time = {
    .base = {.abi = EFX_ABI,
             .vt_bytes = sizeof(struct efx_window_vt),
             .name = "time",
             .help = "The events younger than d.",
             .conf = time_keys,
             .conf_bytes = sizeof(struct time_conf),
             .self_bytes = sizeof(struct win_time),
             .traits =
                 {.many_if_expired = 1, .timers = 1, .holds_rows = 1, .evicts = EFX_EVICTS_BY_DUE}},
    .open = time_open,
    .arrive = time_arrive,
    .fire = time_fire,
    .slide = time_slide,
    .flow = time_flow,
    .next_due_ms = time_next_due,
    .origin_set = time_origin_set,
    .content = time_content,
    .mark = time_mark,
    .slice = time_slice,
    .load = time_load,
    .load_end = time_load_end,
    .bytes = time_bytes,
    .close = time_close,
};
