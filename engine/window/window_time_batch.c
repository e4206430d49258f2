/* timeBatch(d [, origin]) = tumbling: a flush when the clock reaches a boundary origin + k·d.
 *
 *   clock   1000 ······· 1100 ······· 1200 ······· 1300
 *   rows      x  x         x                                 open batch: due 1100, then 1200
 *   timers                 ▲ 1100, before the row            ▲ 1200; 1300 only if expired rows are
 *                                                              wanted: the batch of 1200 leaves
 *
 * The first row of a batch sets its due time: the first boundary behind the clock, so a late row is
 * counted in the open batch and a row on a boundary belongs to the next one. A row may come when
 * the clock stands on the boundary and our timer has yet to fire (it was made by a timer of lower
 * rank): if it is late it is counted in the batch that ends now; else the batch is flushed early,
 * but bears its timer's moment, which is where a merge puts it. In row mode nothing merges: then
 * the row waits as the first of the next batch, and so do all that come until the timer fires.
 *
 * Without origin t0 is origin_set's, else the time of the first row; in a PARTITION that of the
 * copy's first row.
 *
 * Eager, no row is looked at while the step ends before the boundary. Else rows are held, with
 * their batch's end as `due`.
 *
 *   State   t0 and due; per copy in a PARTITION; the log
 *   Order   flushes by (due, birth)
 *   Save    without PARTITION t0 and due go to every key group of the shard: rows of any group need
 *           them. The section of the latest checkpoint counts; of one checkpoint, what is due
 */
#include "window.h"

struct time_batch_conf {
    int64_t d_ms;
    int64_t origin_ms;
};

struct span { /* of a copy */
    int64_t t0_ms;
    int64_t due_ms; /* next flush; 0 with !set */
    uint8_t has_t0, set;
    uint8_t zero[6];
};

struct win_time_batch {
    struct efx_window base;
    struct efx_window_open how;
    int64_t d_ms, origin_ms;
    struct win_copies copies;
    struct win_timers timers;
    struct win_held held;
    struct win_batches batches;
    struct efx_part part[3]; /* copies, log, span */
    uint64_t checkpoint;     /* of the mark; of what was loaded */
    bool slicing_rows;
};

enum { PART_COPIES = 1, PART_LOG = 2, PART_SPAN = 3, SPAN_BYTES = 8 + sizeof(struct span) };

static const struct efx_conf_key time_batch_keys[] = {
    {.name = "d",
     .kind = EFX_CONF_DURATION,
     .arg = 1,
     .off = offsetof(struct time_batch_conf, d_ms),
     .min = 1,
     .max = INT64_MAX / 4,
     .help = "How long a batch lasts."},
    {.name = "origin",
     .kind = EFX_CONF_TIME,
     .arg = 2,
     .off = offsetof(struct time_batch_conf, origin_ms),
     .otherwise = "-",
     .help = "A boundary; the others lie whole batches before and behind it."},
    {0},
};

static bool by_copy(const struct win_time_batch *w)
{
    return w->how.copy_col != EFX_NO_COL;
}

/* ---- boundaries ---- */

/* The first boundary not before `from_ms`. */
static int64_t boundary(const struct win_time_batch *w, const struct span *s, int64_t from_ms)
{
    int64_t into = (int64_t)(((__int128)from_ms - s->t0_ms) % w->d_ms);
    return into == 0 ? from_ms : win_add_ms(from_ms, into < 0 ? -into : w->d_ms - into);
}

/* Where the batch ends that a row opens. */
static int64_t end_for(const struct win_time_batch *w, const struct span *s,
                       const struct efx_step *step, const struct efx_batch *b, uint32_t row)
{
    int64_t clk_ms = efx_batch_clk_ms(b, row);
    bool passed = win_is_due(step, w->how.rank, clk_ms, efx_op_row_moment(step, b, row));
    int64_t end_ms = boundary(w, s, passed ? win_add_ms(clk_ms, 1) : clk_ms);
    return efx_step_time_ms(step, b, row) >= end_ms ? win_add_ms(end_ms, w->d_ms) : end_ms;
}

static enum efx_rc arm(struct win_time_batch *w, uint32_t id, struct span *s, int64_t due_ms)
{
    s->due_ms = due_ms;
    s->set = 1;
    return efx_window__timer_add(
        &w->timers, &(struct win_timer){
                        .due_ms = due_ms, .birth = efx_window__birth(&w->copies, id), .id = id});
}

/* A row enters the open batch of its copy, which it may open. */
static enum efx_rc enter(struct win_time_batch *w, const struct efx_step *step,
                         const struct efx_batch *b, uint32_t row, uint32_t *id, struct span **span)
{
    EFX_RET(efx_window__copy_of(&w->copies, b, row, id));
    struct span *s = *span = win_copy_state(&w->copies, *id);
    if (!s->has_t0) {
        s->t0_ms = w->origin_ms != EFX_TS_NONE ? w->origin_ms : efx_step_time_ms(step, b, row);
        s->has_t0 = 1;
    }
    return s->set ? EFX_OK : arm(w, *id, s, end_for(w, s, step, b, row));
}

/* Does the first timer fire before this row comes? */
static enum efx_rc is_before(struct win_time_batch *w, const struct efx_step *step,
                             const struct efx_batch *b, uint32_t row, bool *yes)
{
    int64_t due_ms = win_timers_due(&w->timers);
    *yes = due_ms <= efx_batch_clk_ms(b, row);
    if (!*yes || win_is_due(step, w->how.rank, due_ms, efx_op_row_moment(step, b, row))) {
        return EFX_OK;
    }
    uint32_t id;
    EFX_RET(efx_window__copy_of(&w->copies, b, row, &id));
    const struct span *s = win_copy_state(&w->copies, id);
    *yes = s->set && !w->how.by_row && efx_step_time_ms(step, b, row) >= s->due_ms;
    return EFX_OK;
}

/* Takes the first timer; *id = the copy to flush. */
static struct span *fired(struct win_time_batch *w, uint32_t *id)
{
    *id = w->timers.heap[0].id;
    efx_window__timer_pop(&w->timers);
    efx_keyed_touch(w->copies.table, *id);
    struct span *s = win_copy_state(&w->copies, *id);
    s->set = 0;
    return s;
}

/* ---- eager ---- */

static void flush_make(struct win_time_batch *w, const struct efx_step *step,
                       struct efx_change *flush)
{
    uint32_t id;
    const struct span *s = fired(w, &id);
    *flush = (struct efx_change){.moment = win_timer_moment(step, w->how.rank, s->due_ms),
                                 .clk_ms = s->due_ms,
                                 .birth = efx_window__birth(&w->copies, id),
                                 .kind = EFX_ROW_RESET,
                                 .flush = 1};
}

/* The first row that is there whose clock has reached `due_ms`; until if none has. */
static uint32_t boundary_row(const struct efx_step *step, const struct efx_rows *rows,
                             int64_t due_ms)
{
    if (step->clk_last_ms < due_ms) {
        return rows->until;
    }
    uint32_t i = rows->from;
    while (i < rows->until &&
           (!efx_bit(rows->b->sel, i) || efx_batch_clk_ms(rows->b, i) < due_ms)) {
        i++;
    }
    return i;
}

static uint32_t first_row(const struct efx_rows *rows)
{
    uint32_t i = rows->from;
    while (i < rows->until && !efx_bit(rows->b->sel, i)) {
        i++;
    }
    return i;
}

static enum efx_rc time_batch_pass(struct efx_window *self, const struct efx_step *step,
                                   struct efx_rows *rows, struct efx_change *flush)
{
    struct win_time_batch *w = (struct win_time_batch *)self;
    while (rows->from < rows->until) {
        uint32_t row = first_row(rows), id;
        struct span *s;
        if (row == rows->until) {
            rows->from = row;
            break;
        }
        bool due;
        EFX_RET(is_before(w, step, rows->b, row, &due));
        if (due) {
            rows->from = row;
            flush_make(w, step, flush);
            break;
        }
        EFX_RET(enter(w, step, rows->b, row, &id, &s));
        rows->from = row + 1;
        if (!by_copy(w)) {
            rows->from = boundary_row(step, rows, s->due_ms);
        }
    }
    return EFX_OK;
}

/* ---- holding rows ---- */

/* Begins the flush of the copy whose timer is first. The next boundary matters if what is flushed
 * now must leave, or what left before must be told. */
static enum efx_rc flush_begin(struct win_time_batch *w, const struct efx_step *step)
{
    uint32_t id;
    struct win_batch *batch;
    struct span *s = fired(w, &id);
    int64_t due_ms = s->due_ms;
    EFX_RET(efx_window__batch_of(&w->batches, id, &batch));
    bool goes_on = (w->batches.keeps && batch->now.n > 0) || batch->next.n > 0;
    efx_window__flush_begin(&w->batches, id, efx_window__birth(&w->copies, id),
                            win_timer_moment(step, w->how.rank, due_ms), due_ms);
    return goes_on ? arm(w, id, s, win_add_ms(due_ms, w->d_ms)) : EFX_OK;
}

/* Lists all that is due before `until`. */
static enum efx_rc list_due(struct win_time_batch *w, const struct efx_step *step, efx_moment until,
                            struct win_list *l)
{
    for (;;) {
        EFX_RET(efx_window__flush_list(&w->batches, l));
        if (!win_is_due(step, w->how.rank, win_timers_due(&w->timers), until)) {
            return EFX_OK;
        }
        EFX_RET(flush_begin(w, step));
    }
}

/* Lists all that comes before a row. */
static enum efx_rc list_before(struct win_time_batch *w, const struct efx_step *step,
                               const struct efx_batch *b, uint32_t row, struct win_list *l)
{
    for (;;) {
        bool due;
        EFX_RET(efx_window__flush_list(&w->batches, l));
        EFX_RET(is_before(w, step, b, row, &due));
        if (!due) {
            return EFX_OK;
        }
        EFX_RET(flush_begin(w, step));
    }
}

static enum efx_rc hold(struct win_time_batch *w, const struct efx_step *step,
                        const struct efx_batch *b, uint32_t row)
{
    uint32_t id;
    struct span *s;
    struct win_batch *batch;
    EFX_RET(enter(w, step, b, row, &id, &s));
    EFX_RET(efx_window__batch_of(&w->batches, id, &batch));
    bool early = batch->next.n > 0 || efx_step_time_ms(step, b, row) >= s->due_ms;
    int64_t due_ms = early ? win_add_ms(s->due_ms, w->d_ms) : s->due_ms;
    uint64_t number = efx_log_end(w->held.log);
    EFX_RET(efx_window__held_add(&w->held, step, b, &row, 1, &due_ms, NULL));
    return efx_window__rows_add(w->how.mem, early ? &batch->next : &batch->now, number);
}

static enum efx_rc time_batch_arrive(struct efx_window *self, const struct efx_step *step,
                                     struct efx_rows *rows, struct efx_changes *out)
{
    struct win_time_batch *w = (struct win_time_batch *)self;
    struct win_list l;
    enum efx_rc rc = EFX_OK;
    efx_window__held_begin(&w->held, &l, out);
    for (; rows->from < rows->until; rows->from++) {
        if (efx_bit(rows->b->sel, rows->from)) {
            rc = list_before(w, step, rows->b, rows->from, &l);
            if (rc != EFX_OK) {
                break;
            }
            EFX_RET(hold(w, step, rows->b, rows->from));
        }
    }
    efx_window__held_end(&w->held, &l);
    return rc;
}

/* ---- timers ---- */

static enum efx_rc fire_eager(struct win_time_batch *w, const struct efx_step *step,
                              efx_moment until, struct efx_changes *out)
{
    out->n = 0;
    out->left = NULL;
    while (win_is_due(step, w->how.rank, win_timers_due(&w->timers), until)) {
        if (out->n == EFX_CHANGES_MAX) {
            return EFX_AGAIN;
        }
        flush_make(w, step, &out->list[out->n++]);
    }
    return EFX_OK;
}

static enum efx_rc time_batch_fire(struct efx_window *self, const struct efx_step *step,
                                   efx_moment until, struct efx_changes *out)
{
    struct win_time_batch *w = (struct win_time_batch *)self;
    struct win_list l;
    if (w->how.eager) {
        return fire_eager(w, step, until, out);
    }
    efx_window__held_begin(&w->held, &l, out);
    enum efx_rc rc = list_due(w, step, until, &l);
    efx_window__held_end(&w->held, &l);
    return rc;
}

static int64_t time_batch_next_due(const struct efx_window *self)
{
    return win_timers_due(&((const struct win_time_batch *)self)->timers);
}

static void time_batch_origin_set(struct efx_window *self, int64_t t0_ms)
{
    struct win_time_batch *w = (struct win_time_batch *)self;
    if (by_copy(w) || w->origin_ms != EFX_TS_NONE || t0_ms == EFX_TS_NONE) {
        return;
    }
    efx_keyed_touch(w->copies.table, 0);
    struct span *s = win_copy_state(&w->copies, 0);
    if (!s->has_t0) {
        s->t0_ms = t0_ms;
        s->has_t0 = 1;
    }
}

static enum efx_rc time_batch_content(struct efx_window *self, uint64_t *from,
                                      struct efx_changes *out)
{
    return efx_window__batches_content(&((struct win_time_batch *)self)->batches, from, out);
}

/* ---- saves ---- */

static void time_batch_mark(struct efx_window *self, const struct efx_mark *mark)
{
    struct win_time_batch *w = (struct win_time_batch *)self;
    efx_window__kill_doomed(&w->held);
    efx_keyed_mark(w->copies.table, mark);
    efx_log_mark(w->held.log, mark);
    w->checkpoint = mark->checkpoint;
    w->slicing_rows = false;
}

static void save_span(struct win_time_batch *w, struct efx_save *out)
{
    const struct efx_kg_range one = {w->how.key_group, w->how.key_group};
    const struct efx_kg_range *kg = w->how.kg != NULL ? w->how.kg : &one;
    const struct span *s = win_copy_state(&w->copies, 0);
    for (uint32_t g = kg->first; g <= kg->last; g++) {
        struct efx_writer to = efx_save_writer(out, g, SPAN_BYTES);
        efx_put_u64(&to, w->checkpoint);
        efx_put_raw(&to, s, sizeof *s);
    }
}

/* The span is saved as it is at the first slice, which comes at once. */
static enum efx_rc time_batch_slice(struct efx_window *self, uint32_t budget_rows,
                                    struct efx_save *out)
{
    struct win_time_batch *w = (struct win_time_batch *)self;
    struct efx_save *copies = efx_part_open(&w->part[0], PART_COPIES, out);
    struct efx_save *rows = efx_part_open(&w->part[1], PART_LOG, out);
    if (!by_copy(w) && w->part[2].to == NULL) {
        save_span(w, efx_part_open(&w->part[2], PART_SPAN, out));
    }
    if (!w->slicing_rows) {
        enum efx_rc rc = efx_keyed_slice(w->copies.table, budget_rows, copies);
        w->slicing_rows = rc == EFX_DONE;
        EFX_RET(rc == EFX_DONE ? EFX_OK : rc);
    }
    enum efx_rc rc = efx_window__held_slice(&w->held, budget_rows, rows);
    if (rc == EFX_DONE) {
        w->part[2].to = NULL;
    }
    return rc;
}

static void load_span(struct win_time_batch *w, struct efx_reader *r)
{
    while (r->left > 0 && !r->bad) {
        struct span s, *mine = win_copy_state(&w->copies, 0);
        uint64_t checkpoint = efx_get_u64(r);
        efx_get_raw(r, &s, sizeof s);
        if (!r->bad && (checkpoint > w->checkpoint ||
                        (checkpoint == w->checkpoint && (s.set || !mine->has_t0)))) {
            efx_keyed_touch(w->copies.table, 0);
            *mine = s;
            w->checkpoint = checkpoint;
        }
    }
}

static enum efx_rc load_section(struct win_time_batch *w, uint32_t key_group,
                                struct efx_reader section)
{
    for (uint8_t part = PART_COPIES; part <= PART_SPAN; part++) {
        uint8_t *buf;
        size_t n;
        EFX_RET(efx_part_collect(w->how.mem, section, part, key_group, &buf, &n));
        if (buf == NULL) {
            continue;
        }
        struct efx_reader r = {.p = buf + EFX_PART_HEAD, .left = n};
        enum efx_rc rc = EFX_OK;
        if (part == PART_SPAN) {
            load_span(w, &r);
        } else if (part == PART_LOG) {
            rc = efx_window__held_load(&w->held, key_group, &r);
        } else if (by_copy(w)) { /* without PARTITION the spans say it */
            rc = efx_keyed_load(w->copies.table, key_group, &r, NULL);
        }
        w->how.mem->free(w->how.mem, buf, n + EFX_PART_HEAD);
        EFX_RET(r.bad ? EFX_EPARSE : rc);
    }
    return EFX_OK;
}

static enum efx_rc time_batch_load(struct efx_window *self, struct efx_kg_range kg,
                                   struct efx_reader *r, struct efx_err *err)
{
    struct efx_reader section;
    uint32_t key_group;
    while (efx_load_next(r, kg, &key_group, &section)) {
        EFX_RET(load_section((struct win_time_batch *)self, key_group, section));
    }
    return r->bad ? EFX_FAIL(err, EFX_EPARSE, EFX_KIND_ENV, 0, "saved timeBatch is damaged")
                  : EFX_OK;
}

static bool is_older(const void *copy_state, int64_t due_ms)
{
    const struct span *s = copy_state;
    return !s->set || due_ms < s->due_ms;
}

static enum efx_rc time_batch_load_end(struct efx_window *self, struct efx_err *err)
{
    struct win_time_batch *w = (struct win_time_batch *)self;
    (void)err;
    EFX_RET(efx_log_settle(w->held.log));
    for (uint32_t id = 0; id < efx_keyed_n_ids(w->copies.table); id++) {
        if (efx_keyed_is_live(w->copies.table, id)) {
            struct span *s = win_copy_state(&w->copies, id);
            EFX_RET(s->set ? arm(w, id, s, s->due_ms) : EFX_OK);
        }
    }
    return efx_window__batches_fill(&w->batches, &w->copies, is_older);
}

static size_t time_batch_bytes(const struct efx_window *self)
{
    const struct win_time_batch *w = (const struct win_time_batch *)self;
    return efx_keyed_bytes(w->copies.table) + efx_log_bytes(w->held.log) +
           w->timers.n_max * sizeof *w->timers.heap;
}

static void time_batch_close(struct efx_window *self)
{
    struct win_time_batch *w = (struct win_time_batch *)self;
    efx_window__batches_close(&w->batches);
    efx_window__held_close(&w->held);
    efx_window__copies_close(&w->copies);
    efx_window__timers_close(&w->timers);
}

static enum efx_rc time_batch_open(struct efx_window *self, const struct efx_window_open *how,
                                   struct efx_err *err)
{
    struct win_time_batch *w = (struct win_time_batch *)self;
    const struct time_batch_conf *conf = how->conf;
    (void)err;
    w->how = *how;
    w->d_ms = conf->d_ms;
    w->origin_ms = conf->origin_ms;
    w->timers.mem = how->mem;
    EFX_RET(efx_window__copies_open(&w->copies, &w->how,
                                    &(struct efx_keyed_state){.bytes = sizeof(struct span)}));
    EFX_RET(efx_window__held_open(&w->held, &w->how, true, false));
    efx_window__batches_open(&w->batches, &w->how, &w->held);
    return EFX_OK;
}

const struct efx_window_vt efx_window__time_batch = {
    .base = {.abi = EFX_ABI,
             .vt_bytes = sizeof(struct efx_window_vt),
             .name = "timeBatch",
             .help = "Batches from boundary to boundary of the clock.",
             .conf = time_batch_keys,
             .conf_bytes = sizeof(struct time_batch_conf),
             .self_bytes = sizeof(struct win_time_batch),
             .traits = {.many = 1,
                        .timers = 1,
                        .needs_origin = 1,
                        .holds_rows = 1,
                        .flushes = 1,
                        .evicts = EFX_EVICTS_WHOLE}},
    .open = time_batch_open,
    .arrive = time_batch_arrive,
    .fire = time_batch_fire,
    .pass = time_batch_pass,
    .next_due_ms = time_batch_next_due,
    .origin_set = time_batch_origin_set,
    .content = time_batch_content,
    .mark = time_batch_mark,
    .slice = time_batch_slice,
    .load = time_batch_load,
    .load_end = time_batch_load_end,
    .bytes = time_batch_bytes,
    .close = time_batch_close,
};
