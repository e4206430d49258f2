/* session(gap [, key …] [, latency]): events of a key whose spans [t, t + gap) overlap.
 *
 *   t        1000   1040 ·········· 1145                 gap 100, latency 50
 *   sessions [1000 ──────── 1140)   [1145 ────── 1245)
 *   late 1060        [──────────1160)                    overlaps both: one session [1000, 1245)
 *   closes                                               at its end + latency: 1295
 *
 *   key      ─► sessions (a list: few are open at once) ─► numbers of their rows, by arrival
 *   timers   lazy: an event moves the end only; a timer that fires early is set again. Of sessions
 *            that merge the one that began first (by arrival) stays, with its timer
 *
 * Key: the columns given, else the group's key columns, else none. In a PARTITION the copy's birth
 * stands before them.
 *
 *   Flush    +rows … ends_part │ −rows … ends_part (if wanted) │ RESET, all with the turn of the
 *            session's first event
 *   Late     a row whose own span + latency is past and that touches no open session is ignored and
 *            counted (n_ignored)
 *   State    the log, with the row's time as `due` and its key columns; sessions are made from it
 *   Order    closing time, birth, arrival of the first event
 */
#include "window.h"

struct session_conf {
    int64_t gap_ms;
    struct efx_conf_cols key;
    int64_t latency_ms;
};

struct session {
    uint32_t key;  /* entry of `keys` */
    uint32_t next; /* of the key, or the next free one: place + 1; 0 = last */
    uint32_t gen;  /* timers of an older one are void */
    int64_t start_ms, end_ms;
    uint64_t first; /* number of the first row by arrival */
    struct win_rows rows;
};

enum phase { IDLE = 1, CURRENT, EXPIRED, RESET };

struct win_session {
    struct efx_window base;
    struct efx_window_open how; /* held: what the selector wants, then the key columns */
    int64_t gap_ms, latency_ms;
    struct efx_conf_cols key_cols; /* of the batch, without birth */
    uint32_t n_wanted;             /* held columns of the selector */
    uint32_t *held;                /* [how.held.n] */
    enum efx_type *key_types;
    struct efx_keyed_conf keys_conf;
    struct efx_keyed *keys; /* extra = first session, place + 1 */
    struct session *all;
    uint32_t n_all, n_all_max, free;
    struct win_timers timers;
    struct win_held rows;
    /* The flush that is being listed. */
    enum phase phase;
    uint32_t flushing, pos;
    efx_moment moment;
    int64_t clk_ms;
};

static const struct efx_conf_key session_keys[] = {
    {.name = "gap",
     .kind = EFX_CONF_DURATION,
     .arg = 1,
     .off = offsetof(struct session_conf, gap_ms),
     .min = 1,
     .max = INT64_MAX / 4,
     .help = "An event keeps its session open for so long."},
    {.name = "key",
     .kind = EFX_CONF_COLUMNS,
     .arg = 2,
     .off = offsetof(struct session_conf, key),
     .otherwise = "",
     .help = "Columns whose values have sessions of their own."},
    {.name = "latency",
     .kind = EFX_CONF_DURATION,
     .arg = 3,
     .off = offsetof(struct session_conf, latency_ms),
     .otherwise = "0",
     .min = 0,
     .max = INT64_MAX / 4,
     .help = "How long a session waits for late events."},
    {0},
};

/* ---- sessions ---- */

static enum efx_rc session_new(struct win_session *w, uint32_t key, uint32_t *place)
{
    if (w->free != 0) {
        *place = w->free - 1;
        w->free = w->all[*place].next;
    } else {
        if (w->n_all == w->n_all_max) {
            struct efx_mem *mem = w->how.mem;
            uint32_t max = w->n_all_max == 0 ? 64 : w->n_all_max * 2;
            size_t bytes = sizeof *w->all;
            void *more = w->all == NULL
                             ? mem->alloc(mem, max * bytes)
                             : efx_mem_grow(mem, w->all, w->n_all_max * bytes, max * bytes);
            if (more == NULL) {
                return EFX_ENOMEM;
            }
            w->all = more;
            w->n_all_max = max;
        }
        *place = w->n_all++;
        w->all[*place] = (struct session){0};
    }
    struct session *s = &w->all[*place];
    struct efx_entry *e = efx_keyed_at(w->keys, key);
    *s = (struct session){.key = key, .next = e->extra, .gen = s->gen, .rows = s->rows};
    s->rows.n = 0;
    e->extra = *place + 1;
    return EFX_OK;
}

/* Takes it out of its key's list; a key without sessions goes. */
static void unlink(struct win_session *w, uint32_t place)
{
    struct session *s = &w->all[place];
    struct efx_entry *e = efx_keyed_at(w->keys, s->key);
    uint32_t *link = &e->extra;
    while (*link != place + 1) {
        link = &w->all[*link - 1].next;
    }
    *link = s->next;
    s->gen++;
    if (e->extra == 0 && w->keys_conf.n_cells > 0) {
        efx_keyed_del(w->keys, s->key);
    }
}

static void give_back(struct win_session *w, uint32_t place)
{
    w->all[place].next = w->free;
    w->free = place + 1;
}

static enum efx_rc arm(struct win_session *w, uint32_t place)
{
    const struct session *s = &w->all[place];
    return efx_window__timer_add(
        &w->timers, &(struct win_timer){.due_ms = win_add_ms(s->end_ms, w->latency_ms),
                                        .birth = efx_window__held_birth(&w->rows, s->first),
                                        .no = s->first,
                                        .id = place,
                                        .gen = s->gen});
}

/* Rows of `from`, in order of their numbers, into `into`. */
static enum efx_rc rows_merge(struct win_session *w, struct win_rows *into,
                              const struct win_rows *from)
{
    uint32_t a = into->n, b = from->n;
    for (uint32_t i = 0; i < from->n; i++) {
        EFX_RET(efx_window__rows_add(w->how.mem, into, 0));
    }
    for (uint32_t at = a + b; b > 0; at--) {
        bool of_a = a > 0 && into->number[a - 1] > from->number[b - 1];
        into->number[at - 1] = of_a ? into->number[--a] : from->number[--b];
    }
    return EFX_OK;
}

static bool touches(const struct win_session *w, const struct session *s, int64_t t_ms)
{
    return t_ms < s->end_ms && win_add_ms(t_ms, w->gap_ms) > s->start_ms;
}

static bool touches_any(const struct win_session *w, uint32_t key, int64_t t_ms)
{
    for (uint32_t at = efx_keyed_at(w->keys, key)->extra; at != 0; at = w->all[at - 1].next) {
        if (touches(w, &w->all[at - 1], t_ms)) {
            return true;
        }
    }
    return false;
}

/* Joins `other` to `into`, which came first. */
static enum efx_rc absorb(struct win_session *w, uint32_t into, uint32_t other)
{
    struct session *s = &w->all[into], *o = &w->all[other];
    EFX_RET(rows_merge(w, &s->rows, &o->rows));
    s->start_ms = o->start_ms < s->start_ms ? o->start_ms : s->start_ms;
    s->end_ms = o->end_ms > s->end_ms ? o->end_ms : s->end_ms;
    unlink(w, other); /* the key stays: `into` is in its list */
    give_back(w, other);
    return EFX_OK;
}

/* Row `number` of time t joins the sessions it touches, or begins one. */
static enum efx_rc join(struct win_session *w, uint32_t key, int64_t t_ms, uint64_t number)
{
    uint32_t mine = UINT32_MAX, next;
    for (uint32_t at = efx_keyed_at(w->keys, key)->extra; at != 0; at = next) {
        next = w->all[at - 1].next;
        if (!touches(w, &w->all[at - 1], t_ms)) {
            continue;
        }
        if (mine == UINT32_MAX) {
            mine = at - 1;
        } else if (w->all[mine].first < w->all[at - 1].first) {
            EFX_RET(absorb(w, mine, at - 1));
        } else {
            EFX_RET(absorb(w, at - 1, mine));
            mine = at - 1;
        }
    }
    bool begins = mine == UINT32_MAX;
    if (begins) {
        EFX_RET(session_new(w, key, &mine));
        w->all[mine].first = number;
        w->all[mine].start_ms = t_ms;
        w->all[mine].end_ms = INT64_MIN;
    }
    struct session *s = &w->all[mine];
    int64_t end_ms = win_add_ms(t_ms, w->gap_ms);
    s->start_ms = t_ms < s->start_ms ? t_ms : s->start_ms;
    s->end_ms = end_ms > s->end_ms ? end_ms : s->end_ms;
    EFX_RET(efx_window__rows_add(w->how.mem, &s->rows, number));
    return begins ? arm(w, mine) : EFX_OK;
}

/* ---- flushes ---- */

static enum efx_rc list_part(struct win_session *w, struct win_list *l, uint8_t kind)
{
    const struct session *s = &w->all[w->flushing];
    uint64_t turn = efx_log_turn(w->rows.log, s->first);
    for (; w->pos < s->rows.n; w->pos++) {
        if (win_room(l) == 0) {
            return EFX_AGAIN;
        }
        struct efx_change *c =
            efx_window__list_held(&w->rows, l, kind, s->rows.number[w->pos], w->moment, w->clk_ms);
        c->turn = turn;
        c->ends_part = w->pos + 1 == s->rows.n;
    }
    w->pos = 0;
    return EFX_OK;
}

static enum efx_rc flush_list(struct win_session *w, struct win_list *l)
{
    if (w->phase == CURRENT) {
        EFX_RET(list_part(w, l, EFX_ROW_CURRENT));
        w->phase = w->how.want_expired ? EXPIRED : RESET;
    }
    if (w->phase == EXPIRED) {
        EFX_RET(list_part(w, l, EFX_ROW_EXPIRED));
        w->phase = RESET;
    }
    if (w->phase == RESET) {
        const struct session *s = &w->all[w->flushing];
        if (win_room(l) == 0) {
            return EFX_AGAIN;
        }
        struct efx_change *c = win_change(l, EFX_ROW_RESET, w->moment, w->clk_ms);
        c->birth = efx_window__held_birth(&w->rows, s->first);
        for (uint32_t i = 0; i < s->rows.n; i++) {
            EFX_RET(efx_window__doom(&w->rows, s->rows.number[i]));
        }
        give_back(w, w->flushing);
        w->phase = IDLE;
    }
    return EFX_OK;
}

/* The first timer: a flush begins, unless its session has gone or goes on. */
static enum efx_rc timer_fire(struct win_session *w, const struct efx_step *step)
{
    struct win_timer t = w->timers.heap[0];
    efx_window__timer_pop(&w->timers);
    const struct session *s = &w->all[t.id];
    if (s->gen != t.gen) {
        return EFX_OK;
    }
    if (win_add_ms(s->end_ms, w->latency_ms) > t.due_ms) {
        return arm(w, t.id);
    }
    unlink(w, t.id);
    w->phase = CURRENT;
    w->flushing = t.id;
    w->pos = 0;
    w->moment = win_timer_moment(step, w->how.rank, t.due_ms);
    w->clk_ms = t.due_ms;
    return EFX_OK;
}

static enum efx_rc list_due(struct win_session *w, const struct efx_step *step, efx_moment until,
                            struct win_list *l)
{
    for (;;) {
        EFX_RET(flush_list(w, l));
        if (!win_is_due(step, w->how.rank, win_timers_due(&w->timers), until)) {
            return EFX_OK;
        }
        EFX_RET(timer_fire(w, step));
    }
}

/* ---- rows ---- */

static enum efx_rc key_of(struct win_session *w, const struct efx_col *cols, const uint32_t *row,
                          uint32_t *id)
{
    uint32_t n_new;
    return efx_keyed_ids(w->keys, cols, row, 1, id, &n_new);
}

static enum efx_rc take(struct win_session *w, const struct efx_step *step,
                        const struct efx_batch *b, uint32_t row, const struct efx_col *keys)
{
    uint32_t key;
    int64_t t_ms = efx_step_time_ms(step, b, row);
    EFX_RET(key_of(w, keys, &row, &key));
    int64_t past_ms = win_add_ms(win_add_ms(t_ms, w->gap_ms), w->latency_ms);
    if (past_ms <= efx_batch_clk_ms(b, row) && !touches_any(w, key, t_ms)) {
        w->base.n_ignored++;
        if (efx_keyed_at(w->keys, key)->extra == 0 && w->keys_conf.n_cells > 0) {
            efx_keyed_del(w->keys, key);
        }
        return EFX_OK;
    }
    uint64_t number = efx_log_end(w->rows.log);
    uint32_t group = efx_keyed_group(w->keys, key);
    EFX_RET(efx_window__held_add(&w->rows, step, b, &row, 1, &t_ms, &group));
    return join(w, key, t_ms, number);
}

/* Key columns of a batch, the birth before them in a PARTITION. */
static const struct efx_col *key_cols(const struct win_session *w, const struct efx_batch *b)
{
    struct efx_col *cols = efx_scratch(w->how.ctx, (w->key_cols.n + 2) * sizeof *cols);
    uint32_t n = 0;
    if (w->how.copy_col != EFX_NO_COL) {
        cols[n++] = b->cols[w->how.copy_col + 1];
    }
    for (uint32_t k = 0; k < w->key_cols.n; k++) {
        cols[n++] = b->cols[w->key_cols.col[k]];
    }
    return cols;
}

static enum efx_rc session_arrive(struct efx_window *self, const struct efx_step *step,
                                  struct efx_rows *rows, struct efx_changes *out)
{
    struct win_session *w = (struct win_session *)self;
    struct win_list l;
    enum efx_rc rc = EFX_OK;
    efx_window__held_begin(&w->rows, &l, out);
    const struct efx_col *keys = key_cols(w, rows->b);
    for (; rows->from < rows->until; rows->from++) {
        if (efx_bit(rows->b->sel, rows->from)) {
            rc = list_due(w, step, efx_op_row_moment(step, rows->b, rows->from), &l);
            if (rc != EFX_OK) {
                break;
            }
            EFX_RET(take(w, step, rows->b, rows->from, keys));
        }
    }
    efx_window__held_end(&w->rows, &l);
    return rc;
}

static enum efx_rc session_fire(struct efx_window *self, const struct efx_step *step,
                                efx_moment until, struct efx_changes *out)
{
    struct win_session *w = (struct win_session *)self;
    struct win_list l;
    efx_window__held_begin(&w->rows, &l, out);
    enum efx_rc rc = list_due(w, step, until, &l);
    efx_window__held_end(&w->rows, &l);
    return rc;
}

static int64_t session_next_due(const struct efx_window *self)
{
    return win_timers_due(&((const struct win_session *)self)->timers);
}

static void session_origin_set(struct efx_window *self, int64_t t0_ms)
{
    (void)self;
    (void)t0_ms;
}

static enum efx_rc session_content(struct efx_window *self, uint64_t *from, struct efx_changes *out)
{
    return efx_window__held_content(&((struct win_session *)self)->rows, from, out);
}

/* ---- saves ---- */

static void session_mark(struct efx_window *self, const struct efx_mark *mark)
{
    struct win_session *w = (struct win_session *)self;
    efx_window__kill_doomed(&w->rows);
    efx_log_mark(w->rows.log, mark);
}

static enum efx_rc session_slice(struct efx_window *self, uint32_t budget_rows,
                                 struct efx_save *out)
{
    return efx_window__held_slice(&((struct win_session *)self)->rows, budget_rows, out);
}

static enum efx_rc session_load(struct efx_window *self, struct efx_kg_range kg,
                                struct efx_reader *r, struct efx_err *err)
{
    struct win_session *w = (struct win_session *)self;
    struct efx_reader section;
    uint32_t key_group;
    while (efx_load_next(r, kg, &key_group, &section)) {
        EFX_RET(efx_window__held_load(&w->rows, key_group, &section));
    }
    return r->bad ? EFX_FAIL(err, EFX_EPARSE, EFX_KIND_ENV, 0, "saved session window is damaged")
                  : EFX_OK;
}

/* Sessions are what overlaps among the rows that are held, whatever the order was. */
static enum efx_rc session_load_end(struct efx_window *self, struct efx_err *err)
{
    struct win_session *w = (struct win_session *)self;
    struct efx_ctx *ctx = w->how.ctx;
    (void)err;
    EFX_RET(efx_log_settle(w->rows.log));
    for (uint64_t n = efx_log_head(w->rows.log); n < efx_log_end(w->rows.log); n++) {
        if (!efx_log_is_live(w->rows.log, n)) {
            continue;
        }
        struct efx_ctx_mark m = efx_ctx_begin(ctx);
        struct efx_col *cols = efx_scratch(ctx, (w->rows.n_types + 1) * sizeof *cols);
        struct efx_col *keys = efx_scratch(ctx, (w->key_cols.n + 2) * sizeof *keys);
        int64_t ts_ms;
        uint32_t key, n_keys = 0;
        efx_log_gather(w->rows.log, ctx, &n, 1, cols, &ts_ms);
        if (w->rows.birth_col != EFX_NO_COL) {
            keys[n_keys++] = cols[w->rows.birth_col];
        }
        for (uint32_t k = 0; k < w->key_cols.n; k++) {
            keys[n_keys++] = cols[w->n_wanted + k];
        }
        enum efx_rc rc = key_of(w, keys, NULL, &key);
        efx_ctx_end(ctx, m);
        EFX_RET(rc);
        EFX_RET(join(w, key, efx_log_due(w->rows.log, n), n));
    }
    return EFX_OK;
}

static size_t session_bytes(const struct efx_window *self)
{
    const struct win_session *w = (const struct win_session *)self;
    return efx_log_bytes(w->rows.log) + efx_keyed_bytes(w->keys) + w->n_all_max * sizeof *w->all +
           w->timers.n_max * sizeof *w->timers.heap;
}

static void session_close(struct efx_window *self)
{
    struct win_session *w = (struct win_session *)self;
    struct efx_mem *mem = w->how.mem;
    efx_window__held_close(&w->rows);
    efx_window__timers_close(&w->timers);
    efx_keyed_destroy(&w->keys);
    for (uint32_t i = 0; i < w->n_all; i++) {
        efx_window__rows_free(mem, &w->all[i].rows);
    }
    if (w->all != NULL) {
        mem->free(mem, w->all, w->n_all_max * sizeof *w->all);
        w->all = NULL;
    }
    if (w->held != NULL) {
        mem->free(mem, w->held, (w->how.held.n + 1) * sizeof *w->held);
        w->held = NULL;
    }
    if (w->key_types != NULL) {
        mem->free(mem, w->key_types, (w->key_cols.n + 2) * sizeof *w->key_types);
        w->key_types = NULL;
    }
}

/* Columns and types: held ones with the keys behind, keys with the birth before. */
static enum efx_rc columns_make(struct win_session *w)
{
    struct efx_mem *mem = w->how.mem;
    uint32_t n_held = w->n_wanted + w->key_cols.n;
    bool partitioned = w->how.copy_col != EFX_NO_COL;
    w->held = mem->alloc(mem, (n_held + 1) * sizeof *w->held);
    w->key_types = mem->alloc(mem, (w->key_cols.n + 2) * sizeof *w->key_types);
    struct efx_conf_cols wanted = w->how.held;
    w->how.held = (struct efx_conf_cols){n_held, w->held};
    if (w->held == NULL || w->key_types == NULL) {
        return EFX_ENOMEM;
    }
    w->key_types[0] = EFX_TYPE_LONG;
    for (uint32_t k = 0; k < w->n_wanted; k++) {
        w->held[k] = wanted.col[k];
    }
    for (uint32_t k = 0; k < w->key_cols.n; k++) {
        w->held[w->n_wanted + k] = w->key_cols.col[k];
        w->key_types[partitioned + k] = w->how.types[w->key_cols.col[k]];
    }
    w->keys_conf = (struct efx_keyed_conf){
        .n_cells = partitioned + w->key_cols.n,
        .types = w->key_types,
        .nullable = true,
        .key_group = w->how.key_group,
        .birth_group = partitioned,
    };
    return EFX_OK;
}

static enum efx_rc session_open(struct efx_window *self, const struct efx_window_open *how,
                                struct efx_err *err)
{
    struct win_session *w = (struct win_session *)self;
    const struct session_conf *conf = how->conf;
    (void)err;
    w->how = *how;
    w->gap_ms = conf->gap_ms;
    w->latency_ms = conf->latency_ms;
    w->key_cols = conf->key.n > 0 ? conf->key : how->group_keys;
    w->n_wanted = how->held.n;
    w->timers.mem = how->mem;
    w->phase = IDLE;
    EFX_RET(columns_make(w));
    EFX_RET(efx_keyed_create(how->mem, how->ctx, &w->keys_conf, &w->keys));
    return efx_window__held_open(&w->rows, &w->how, true, true);
}

const struct efx_window_vt efx_window__session = {
    .base = {.abi = EFX_ABI,
             .vt_bytes = sizeof(struct efx_window_vt),
             .name = "session",
             .help = "Events of a key that lie less than the gap apart.",
             .conf = session_keys,
             .conf_bytes = sizeof(struct session_conf),
             .self_bytes = sizeof(struct win_session),
             .traits = {.many = 1,
                        .timers = 1,
                        .holds_rows = 1,
                        .flushes = 1,
                        .evicts = EFX_EVICTS_WHOLE}},
    .open = session_open,
    .arrive = session_arrive,
    .fire = session_fire,
    .next_due_ms = session_next_due,
    .origin_set = session_origin_set,
    .content = session_content,
    .mark = session_mark,
    .slice = session_slice,
    .load = session_load,
    .load_end = session_load_end,
    .bytes = session_bytes,
    .close = session_close,
};
