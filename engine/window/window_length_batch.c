/* lengthBatch(n): a flush when the n-th event of the batch arrives.
 *
 * Eager, only the rows of the open batch are counted. Else rows are held; their `due` in the log is
 * the number of their batch, so a load knows which are of the open one.
 *
 *   State   per copy {rows in the open batch, number of the open batch}, and the log
 *   Order   a flush belongs to the event that made it: it has that row's moment
 */
#include "window.h"

struct length_batch_conf {
    int64_t n;
};

struct count {  /* of a copy */
    uint64_t n; /* rows of the open batch */
    int64_t no; /* its number */
};

struct win_length_batch {
    struct efx_window base;
    struct efx_window_open how;
    uint64_t n;
    struct win_copies copies;
    struct win_held held;
    struct win_batches batches;
    struct efx_part part[2]; /* copies, log */
    bool slicing_rows;
};

enum { PART_COPIES = 1, PART_LOG = 2 };

static const struct efx_conf_key length_batch_keys[] = {
    {.name = "n",
     .kind = EFX_CONF_LONG,
     .arg = 1,
     .off = offsetof(struct length_batch_conf, n),
     .min = 1,
     .max = UINT32_MAX / 2,
     .help = "How many events make a batch."},
    {0},
};

/* One copy: words are counted; the flush comes with the row that fills the batch. */
static void pass_words(struct win_length_batch *w, struct efx_rows *rows, struct count *c)
{
    uint32_t n = efx_rows_count(rows);
    if (c->n + n < w->n) {
        c->n += n;
        rows->from = rows->until;
        return;
    }
    for (; c->n < w->n; rows->from++) {
        c->n += efx_bit(rows->b->sel, rows->from);
    }
}

static void pass_copies(struct win_length_batch *w, struct efx_rows *rows, enum efx_rc *rc,
                        struct count **full, uint32_t *id)
{
    while (rows->from < rows->until && *rc == EFX_OK && *full == NULL) {
        uint32_t row = rows->from++;
        if (efx_bit(rows->b->sel, row)) {
            *rc = efx_window__copy_of(&w->copies, rows->b, row, id);
            struct count *c = *rc == EFX_OK ? win_copy_state(&w->copies, *id) : NULL;
            if (c != NULL && ++c->n == w->n) {
                *full = c;
            }
        }
    }
}

static enum efx_rc length_batch_pass(struct efx_window *self, const struct efx_step *step,
                                     struct efx_rows *rows, struct efx_change *flush)
{
    struct win_length_batch *w = (struct win_length_batch *)self;
    struct count *full = NULL;
    uint32_t id = 0;
    enum efx_rc rc = EFX_OK;
    if (rows->from == rows->until) {
        return EFX_OK;
    }
    if (w->how.copy_col != EFX_NO_COL) {
        pass_copies(w, rows, &rc, &full, &id);
        EFX_RET(rc);
    } else {
        EFX_RET(efx_window__copy_of(&w->copies, rows->b, rows->from, &id));
        struct count *c = win_copy_state(&w->copies, id);
        pass_words(w, rows, c);
        full = c->n == w->n ? c : NULL;
    }
    if (full != NULL) {
        uint32_t row = rows->from - 1;
        full->n = 0;
        *flush = (struct efx_change){.moment = efx_op_row_moment(step, rows->b, row),
                                     .clk_ms = efx_batch_clk_ms(rows->b, row),
                                     .turn = efx_window__turn(step, rows->b, row),
                                     .birth = efx_window__birth(&w->copies, id),
                                     .kind = EFX_ROW_RESET,
                                     .flush = 1};
    }
    return EFX_OK;
}

/* One row into its copy's batch; begins the flush if that is full. */
static enum efx_rc hold(struct win_length_batch *w, const struct efx_step *step,
                        const struct efx_batch *b, uint32_t row)
{
    uint32_t id;
    struct win_batch *batch;
    EFX_RET(efx_window__copy_of(&w->copies, b, row, &id));
    EFX_RET(efx_window__batch_of(&w->batches, id, &batch));
    struct count *c = win_copy_state(&w->copies, id);
    uint64_t number = efx_log_end(w->held.log);
    EFX_RET(efx_window__held_add(&w->held, step, b, &row, 1, &c->no, NULL));
    EFX_RET(efx_window__rows_add(w->how.mem, &batch->now, number));
    if (++c->n == w->n) {
        c->n = 0;
        c->no++;
        efx_window__flush_begin(&w->batches, id, efx_window__birth(&w->copies, id),
                                efx_op_row_moment(step, b, row), efx_batch_clk_ms(b, row));
    }
    return EFX_OK;
}

static enum efx_rc length_batch_arrive(struct efx_window *self, const struct efx_step *step,
                                       struct efx_rows *rows, struct efx_changes *out)
{
    struct win_length_batch *w = (struct win_length_batch *)self;
    struct win_list l;
    efx_window__held_begin(&w->held, &l, out);
    enum efx_rc rc = efx_window__flush_list(&w->batches, &l);
    for (; rc == EFX_OK && rows->from < rows->until; rows->from++) {
        if (efx_bit(rows->b->sel, rows->from)) {
            EFX_RET(hold(w, step, rows->b, rows->from));
            rc = efx_window__flush_list(&w->batches, &l);
        }
    }
    efx_window__held_end(&w->held, &l);
    return rc;
}

/* No timers; but a flush may not have fitted into the last call. */
static enum efx_rc length_batch_fire(struct efx_window *self, const struct efx_step *step,
                                     efx_moment until, struct efx_changes *out)
{
    struct win_length_batch *w = (struct win_length_batch *)self;
    struct win_list l;
    (void)step;
    (void)until;
    efx_window__held_begin(&w->held, &l, out);
    enum efx_rc rc = efx_window__flush_list(&w->batches, &l);
    efx_window__held_end(&w->held, &l);
    return rc;
}

static int64_t length_batch_next_due(const struct efx_window *self)
{
    (void)self;
    return EFX_NEVER_MS;
}

static void length_batch_origin_set(struct efx_window *self, int64_t t0_ms)
{
    (void)self;
    (void)t0_ms;
}

static enum efx_rc length_batch_content(struct efx_window *self, uint64_t *from,
                                        struct efx_changes *out)
{
    return efx_window__batches_content(&((struct win_length_batch *)self)->batches, from, out);
}

static void length_batch_mark(struct efx_window *self, const struct efx_mark *mark)
{
    struct win_length_batch *w = (struct win_length_batch *)self;
    efx_window__kill_doomed(&w->held);
    efx_keyed_mark(w->copies.table, mark);
    efx_log_mark(w->held.log, mark);
    w->slicing_rows = false;
}

static enum efx_rc length_batch_slice(struct efx_window *self, uint32_t budget_rows,
                                      struct efx_save *out)
{
    struct win_length_batch *w = (struct win_length_batch *)self;
    struct efx_save *copies = efx_part_open(&w->part[0], PART_COPIES, out);
    struct efx_save *rows = efx_part_open(&w->part[1], PART_LOG, out);
    if (!w->slicing_rows) {
        enum efx_rc rc = efx_keyed_slice(w->copies.table, budget_rows, copies);
        w->slicing_rows = rc == EFX_DONE;
        EFX_RET(rc == EFX_DONE ? EFX_OK : rc);
    }
    return efx_window__held_slice(&w->held, budget_rows, rows);
}

static enum efx_rc load_section(struct win_length_batch *w, uint32_t key_group,
                                struct efx_reader section)
{
    for (uint8_t part = PART_COPIES; part <= PART_LOG; part++) {
        uint8_t *buf;
        size_t n;
        EFX_RET(efx_part_collect(w->how.mem, section, part, key_group, &buf, &n));
        if (buf == NULL) {
            continue;
        }
        struct efx_reader r = {.p = buf + EFX_PART_HEAD, .left = n};
        enum efx_rc rc = part == PART_COPIES ? efx_keyed_load(w->copies.table, key_group, &r, NULL)
                                             : efx_window__held_load(&w->held, key_group, &r);
        w->how.mem->free(w->how.mem, buf, n + EFX_PART_HEAD);
        EFX_RET(rc);
    }
    return EFX_OK;
}

static enum efx_rc length_batch_load(struct efx_window *self, struct efx_kg_range kg,
                                     struct efx_reader *r, struct efx_err *err)
{
    struct efx_reader section;
    uint32_t key_group;
    while (efx_load_next(r, kg, &key_group, &section)) {
        EFX_RET(load_section((struct win_length_batch *)self, key_group, section));
    }
    return r->bad ? EFX_FAIL(err, EFX_EPARSE, EFX_KIND_ENV, 0, "saved lengthBatch is damaged")
                  : EFX_OK;
}

static bool is_older(const void *copy_state, int64_t due_ms)
{
    return due_ms < ((const struct count *)copy_state)->no;
}

static enum efx_rc length_batch_load_end(struct efx_window *self, struct efx_err *err)
{
    struct win_length_batch *w = (struct win_length_batch *)self;
    (void)err;
    EFX_RET(efx_log_settle(w->held.log));
    return efx_window__batches_fill(&w->batches, &w->copies, is_older);
}

static size_t length_batch_bytes(const struct efx_window *self)
{
    const struct win_length_batch *w = (const struct win_length_batch *)self;
    return efx_keyed_bytes(w->copies.table) + efx_log_bytes(w->held.log);
}

static void length_batch_close(struct efx_window *self)
{
    struct win_length_batch *w = (struct win_length_batch *)self;
    efx_window__batches_close(&w->batches);
    efx_window__held_close(&w->held);
    efx_window__copies_close(&w->copies);
}

static enum efx_rc length_batch_open(struct efx_window *self, const struct efx_window_open *how,
                                     struct efx_err *err)
{
    struct win_length_batch *w = (struct win_length_batch *)self;
    (void)err;
    w->how = *how;
    w->n = (uint64_t)((const struct length_batch_conf *)how->conf)->n;
    EFX_RET(efx_window__copies_open(&w->copies, &w->how,
                                    &(struct efx_keyed_state){.bytes = sizeof(struct count)}));
    EFX_RET(efx_window__held_open(&w->held, &w->how, true, false));
    efx_window__batches_open(&w->batches, &w->how, &w->held);
    return EFX_OK;
}

const struct efx_window_vt efx_window__length_batch = {
    .base = {.abi = EFX_ABI,
             .vt_bytes = sizeof(struct efx_window_vt),
             .name = "lengthBatch",
             .help = "Batches of n events.",
             .conf = length_batch_keys,
             .conf_bytes = sizeof(struct length_batch_conf),
             .self_bytes = sizeof(struct win_length_batch),
             .traits = {.many = 1,
                        .holds_rows = 1,
                        .ordered = 1,
                        .flushes = 1,
                        .evicts = EFX_EVICTS_WHOLE}},
    .open = length_batch_open,
    .arrive = length_batch_arrive,
    .fire = length_batch_fire,
    .pass = length_batch_pass,
    .next_due_ms = length_batch_next_due,
    .origin_set = length_batch_origin_set,
    .content = length_batch_content,
    .mark = length_batch_mark,
    .slice = length_batch_slice,
    .load = length_batch_load,
    .load_end = length_batch_load_end,
    .bytes = length_batch_bytes,
    .close = length_batch_close,
};
