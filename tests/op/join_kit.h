#ifndef JOIN_KIT_H
#define JOIN_KIT_H

#include "efx_test.h"

#include "keyed/save_test.h"

#include "efx_ops.h"
#include "efx_window.h"

#include <stdio.h>

/* What the tests of joins and tables share: events in steps cut at random, rows as text,
 * expressions by hand, and two windows that are as simple as can be (arrays, moved by hand).
 *
 *   columns of every stream   0 k LONG, 1 v LONG, 2 s STRING ("s<v>", long for odd v); hidden
 *                             behind them copy and birth where partitioned
 *   a row as text             "+1000 k,v,s|k,v,s" and "/" behind the last of a row set
 */
enum { KIT_COLS = 3, KIT_NULL = INT32_MIN, KIT_HELD_MAX = 512, KIT_TEXT_BYTES = 1 << 20 };

/* ---- expressions ---- */

static uint32_t kit_col_of(void *arg, const struct efx_bx *ref)
{
    (void)arg;
    return ref->src * KIT_COLS + ref->col;
}

static struct efx_bx *kit_col(struct efx_arena *a, uint32_t src, uint32_t col, enum efx_type type)
{
    struct efx_bx *e = EFX_NEW(a, struct efx_bx);
    *e = (struct efx_bx){.op = EFX_BX_COL, .type = type, .src = src, .col = col};
    return e;
}

static struct efx_bx *kit_2(struct efx_arena *a, enum efx_bx_op op, enum efx_type type,
                            struct efx_bx *x, struct efx_bx *y)
{
    struct efx_bx *e = EFX_NEW(a, struct efx_bx);
    *e = (struct efx_bx){.op = op, .type = type, .n_args = 2};
    e->args = EFX_NEW_N(a, struct efx_bx *, 2);
    e->args[0] = x;
    e->args[1] = y;
    return e;
}

static const struct efx_expr *kit_expr(struct efx_arena *a, const struct efx_bx *bx)
{
    const struct efx_expr_map map = {.col = kit_col_of};
    const struct efx_expr *e;
    assert_int_equal(efx_expr_compile(a, bx, &map, &e), EFX_OK);
    return e;
}

static const struct efx_expr *kit_ref(struct efx_arena *a, uint32_t src, uint32_t col)
{
    return kit_expr(a, kit_col(a, src, col, col == 2 ? EFX_TYPE_STRING : EFX_TYPE_LONG));
}

/* ---- windows ---- */

struct kit_held {
    int64_t tag, ts, due, birth;
    uint64_t turn;
    uint32_t copy;
};

struct kit_window {
    struct efx_window base;
    struct efx_window_open how;
    bool by_time;
    int64_t n; /* rows, or milliseconds */
    uint32_t n_held;
    struct kit_held held[KIT_HELD_MAX];
    /* rows lent out */
    struct efx_batch left;
    struct efx_col col;
    int64_t tag[EFX_CHANGES_MAX], ts[EFX_CHANGES_MAX];
    bool saved, marked;
};

struct kit_window_conf {
    int64_t n;
};

static enum efx_rc kit_window_open(struct efx_window *self, const struct efx_window_open *how,
                                   struct efx_err *err)
{
    struct kit_window *w = (struct kit_window *)self;
    (void)err;
    w->how = *how;
    w->n = ((const struct kit_window_conf *)how->conf)->n;
    w->by_time = strcmp(self->vt->base.name, "time") == 0;
    w->col = (struct efx_col){.type = EFX_TYPE_LONG, .data = w->tag};
    w->left = (struct efx_batch){.n_cols = 1, .cols = &w->col, .ts_ms = w->ts};
    return EFX_OK;
}

static void kit_leave(struct kit_window *w, uint32_t at, efx_moment moment, int64_t clk,
                      struct efx_changes *out)
{
    struct kit_held h = w->held[at];
    memmove(&w->held[at], &w->held[at + 1], (w->n_held - at - 1) * sizeof h);
    w->n_held--;
    w->tag[w->left.n_rows] = h.tag;
    w->ts[w->left.n_rows] = h.ts;
    out->list[out->n++] = (struct efx_change){.moment = moment,
                                              .clk_ms = clk,
                                              .turn = h.turn,
                                              .row = w->left.n_rows++,
                                              .copy = h.copy,
                                              .kind = EFX_ROW_EXPIRED};
    out->left = &w->left;
}

/* The next to leave: by due, birth, arrival; n_held = none. */
static uint32_t kit_next(const struct kit_window *w)
{
    uint32_t best = w->n_held;
    for (uint32_t i = 0; w->by_time && i < w->n_held; i++) {
        const struct kit_held *a = &w->held[i], *b = &w->held[best];
        if (best == w->n_held || a->due < b->due || (a->due == b->due && a->birth < b->birth)) {
            best = i;
        }
    }
    return best;
}

static void kit_fire(struct kit_window *w, const struct efx_step *step, efx_moment until,
                     struct efx_changes *out)
{
    for (;;) {
        uint32_t i = kit_next(w);
        if (i == w->n_held || w->held[i].due > step->clk_last_ms) {
            return;
        }
        int64_t due = w->held[i].due;
        int64_t offset = due > step->clk_base_ms ? due - step->clk_base_ms : 0;
        efx_moment m = efx_moment_timer(offset, w->how.rank);
        if (m >= until) {
            return;
        }
        kit_leave(w, i, m, due, out);
    }
}

static void kit_arrive_row(struct kit_window *w, const struct efx_step *step,
                           const struct efx_batch *b, uint32_t row, struct efx_changes *out)
{
    efx_moment m = efx_op_row_moment(step, b, row);
    uint32_t tag_col = w->how.held.col[0];
    struct kit_held h = {.tag = ((const int64_t *)b->cols[tag_col].data)[row],
                         .ts = b->ts_ms[row],
                         .due = efx_step_time_ms(step, b, row) + w->n,
                         .turn = b->moment != NULL ? efx_step_turn(step, m) : 0};
    if (w->how.copy_col != EFX_NO_COL) {
        h.copy = (uint32_t)((const int32_t *)b->cols[w->how.copy_col].data)[row];
        h.birth = ((const int64_t *)b->cols[w->how.copy_col + 1].data)[row];
    }
    kit_fire(w, step, m, out);
    int64_t clk = efx_batch_clk_ms(b, row);
    uint32_t same = 0, oldest = w->n_held;
    for (uint32_t i = w->n_held; i-- > 0;) {
        if (w->held[i].copy == h.copy) {
            same++;
            oldest = i;
        }
    }
    if (!w->by_time && same == (uint32_t)w->n) {
        kit_leave(w, oldest, m, clk, out);
    }
    out->list[out->n++] = (struct efx_change){.moment = m,
                                              .clk_ms = clk,
                                              .turn = h.turn,
                                              .row = row,
                                              .copy = h.copy,
                                              .kind = EFX_ROW_CURRENT,
                                              .arrives = 1};
    if (w->by_time && h.due <= clk) {
        out->list[out->n] = out->list[out->n - 1];
        out->list[out->n++].kind = EFX_ROW_EXPIRED;
        return;
    }
    assert_true(w->n_held < KIT_HELD_MAX);
    w->held[w->n_held++] = h;
}

/* A few rows a call, so that EFX_AGAIN is seen. */
static enum efx_rc kit_window_arrive(struct efx_window *self, const struct efx_step *step,
                                     struct efx_rows *rows, struct efx_changes *out)
{
    struct kit_window *w = (struct kit_window *)self;
    w->left.n_rows = 0;
    for (uint32_t n = 0; rows->from < rows->until && n < 3; rows->from++) {
        if (efx_bit(rows->b->sel, rows->from)) {
            kit_arrive_row(w, step, rows->b, rows->from, out);
            n++;
        }
    }
    return rows->from < rows->until ? EFX_AGAIN : EFX_OK;
}

static enum efx_rc kit_window_fire(struct efx_window *self, const struct efx_step *step,
                                   efx_moment until, struct efx_changes *out)
{
    struct kit_window *w = (struct kit_window *)self;
    w->left.n_rows = 0;
    kit_fire(w, step, until, out);
    return EFX_OK;
}

static int64_t kit_window_due(const struct efx_window *self)
{
    const struct kit_window *w = (const struct kit_window *)self;
    uint32_t i = kit_next(w);
    return i == w->n_held ? EFX_NEVER_MS : w->held[i].due;
}

static void kit_window_origin(struct efx_window *self, int64_t t0_ms)
{
    (void)self;
    (void)t0_ms;
}

static void kit_window_mark(struct efx_window *self, const struct efx_mark *mark)
{
    (void)mark;
    ((struct kit_window *)self)->marked = true;
}

static enum efx_rc kit_window_slice(struct efx_window *self, uint32_t budget, struct efx_save *out)
{
    struct kit_window *w = (struct kit_window *)self;
    if (budget == 0) {
        return EFX_AGAIN;
    }
    if (w->marked) {
        w->marked = false;
        uint32_t bytes = (uint32_t)(sizeof w->n_held + w->n_held * sizeof *w->held);
        struct efx_writer out_w = efx_save_writer(out, w->how.key_group, bytes);
        efx_put_u32(&out_w, w->n_held);
        efx_put_raw(&out_w, w->held, w->n_held * sizeof *w->held);
    }
    return EFX_DONE;
}

static enum efx_rc kit_window_load(struct efx_window *self, struct efx_kg_range kg,
                                   struct efx_reader *r, struct efx_err *err)
{
    struct kit_window *w = (struct kit_window *)self;
    uint32_t group;
    struct efx_reader section;
    (void)err;
    while (efx_load_next(r, kg, &group, &section)) {
        w->n_held = efx_get_u32(&section);
        efx_get_raw(&section, w->held, w->n_held * sizeof *w->held);
        assert_false(section.bad);
    }
    return EFX_OK;
}

static enum efx_rc kit_window_load_end(struct efx_window *self, struct efx_err *err)
{
    (void)self;
    (void)err;
    return EFX_OK;
}

static size_t kit_window_bytes(const struct efx_window *self)
{
    (void)self;
    return sizeof(struct kit_window);
}

static void kit_window_close(struct efx_window *self)
{
    (void)self;
}

#define KIT_WINDOW(NAME, EVICTS)                                                                   \
    {                                                                                              \
        .base = {.name = NAME,                                                                     \
                 .self_bytes = sizeof(struct kit_window),                                          \
                 .conf_bytes = sizeof(struct kit_window_conf),                                     \
                 .traits = {.evicts = EVICTS}},                                                    \
        .open = kit_window_open, .arrive = kit_window_arrive, .fire = kit_window_fire,             \
        .next_due_ms = kit_window_due, .origin_set = kit_window_origin, .mark = kit_window_mark,   \
        .slice = kit_window_slice, .load = kit_window_load, .load_end = kit_window_load_end,       \
        .bytes = kit_window_bytes, .close = kit_window_close,                                      \
    }
static const struct efx_window_vt kit_length = KIT_WINDOW("length", EFX_EVICTS_BY_ARRIVAL);
static const struct efx_window_vt kit_time = KIT_WINDOW("time", EFX_EVICTS_BY_DUE);

/* ---- events ---- */

struct kit_event {
    uint32_t inlet;
    int64_t ts;
    int64_t k, v;  /* KIT_NULL = NULL */
    uint32_t copy; /* birth is 100 - copy */
};

static void kit_text_of(int64_t v, char *to)
{
    sprintf(to, v % 2 != 0 ? "s%d with a long tail" : "s%d", (int)v);
}

struct kit_batch { /* columns of one inlet in a step */
    struct efx_batch b;
    struct efx_col cols[KIT_COLS + 2];
    int64_t k[64], v[64], ts[64], clk[64], birth[64];
    int32_t copy[64];
    struct efx_cell s[64];
    char text[64][32];
    uint64_t valid[2];
    efx_moment moment[64];
};

static void kit_batch_init(struct kit_batch *x, bool partitioned)
{
    memset(x, 0, sizeof *x);
    x->cols[0] = (struct efx_col){EFX_TYPE_LONG, x->k, &x->valid[0]};
    x->cols[1] = (struct efx_col){EFX_TYPE_LONG, x->v, &x->valid[1]};
    x->cols[2] = (struct efx_col){EFX_TYPE_STRING, x->s, &x->valid[1]};
    x->cols[3] = (struct efx_col){EFX_TYPE_INT, x->copy, NULL};
    x->cols[4] = (struct efx_col){EFX_TYPE_LONG, x->birth, NULL};
    x->b = (struct efx_batch){.n_cols = KIT_COLS,
                              .n_hidden = partitioned ? 2 : 0,
                              .cols = x->cols,
                              .ts_ms = x->ts,
                              .clk_ms = x->clk,
                              .moment = x->moment};
}

static void kit_batch_add(struct kit_batch *x, const struct kit_event *e, int64_t clk, efx_moment m)
{
    uint32_t i = x->b.n_rows++;
    x->k[i] = e->k;
    x->v[i] = e->v;
    x->ts[i] = e->ts;
    x->clk[i] = clk;
    x->moment[i] = m;
    x->copy[i] = (int32_t)e->copy;
    x->birth[i] = 100 - (int64_t)e->copy;
    efx_bit_put(&x->valid[0], i, e->k != KIT_NULL);
    efx_bit_put(&x->valid[1], i, e->v != KIT_NULL);
    kit_text_of(e->v, x->text[i]);
    x->s[i] = efx_cell_make(x->text[i], (uint32_t)strlen(x->text[i]));
}

/* ---- text ---- */

struct kit_text {
    size_t n;
    char *p; /* [KIT_TEXT_BYTES] */
};

static void kit_put(struct kit_text *t, const char *fmt, ...) EFX_PRINTF(2, 3);
static void kit_put(struct kit_text *t, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    t->n += (size_t)vsnprintf(t->p + t->n, KIT_TEXT_BYTES - t->n, fmt, args);
    va_end(args);
    assert_true(t->n < KIT_TEXT_BYTES);
}

static void kit_put_value(struct kit_text *t, const struct efx_col *c, uint32_t i)
{
    struct efx_value v = efx_value_of_col(c, i);
    if (v.null) {
        kit_put(t, "NULL");
    } else if (v.type == EFX_TYPE_LONG) {
        kit_put(t, "%lld", (long long)v.l);
    } else if (v.type == EFX_TYPE_INT) {
        kit_put(t, "%d", v.i);
    } else {
        kit_put(t, EFX_STR_FMT, EFX_STR_ARG(v.s));
    }
}

static void kit_put_rows(struct kit_text *t, const struct efx_rows *in)
{
    const struct efx_batch *b = in->b;
    for (uint32_t i = in->from; i < in->until; i++) {
        if (!efx_bit(b->sel, i)) {
            continue;
        }
        kit_put(t, "%c%lld ", efx_batch_kind(b, i) == EFX_ROW_EXPIRED ? '-' : '+',
                (long long)b->ts_ms[i]);
        for (uint32_t c = 0; c < b->n_cols + b->n_hidden; c++) {
            kit_put(t, "%s", c == 0 ? "" : c % KIT_COLS == 0 ? "|" : ",");
            kit_put_value(t, &b->cols[c], i);
        }
        kit_put(t, "%s\n", b->set_end != NULL && efx_bit(b->set_end, i) ? "/" : "");
    }
}

#endif /* JOIN_KIT_H */
