/* A join's state in a checkpoint, and back.
 *
 *   section of a key group   u8 part │ u32 n │ n bytes …     parts: log 0, log 1, window 0,
 *                                                            window 1, joined rows
 *
 * Each part writes through a frame of its own; at load the frames of a part are put together again.
 * Rows stand in the section of their key, windows where they put themselves. Nothing of the index
 * is saved: at the end of the load rows stand in the order of their tags, and links, entries and
 * the lists of joined rows are made anew. A window knows its rows by tag, so does a joined row.
 *
 *   Order    logs are settled before joined rows look for their members
 *   Errors   EFX_EPARSE of bytes that are none of ours, EFX_ENOMEM
 */
#include "join.h"

enum { LOG_0, LOG_1, WINDOW_0, WINDOW_1, JOINED, FRAME_BYTES = 5, SECTION_HEAD_BYTES = 8 };

static struct efx_log *log_of(const struct op_join *op, uint32_t part)
{
    return part == JOINED ? op->joined : part <= LOG_1 ? op->side[part].log : NULL;
}

static struct efx_window *window_of(const struct op_join *op, uint32_t part)
{
    return part == WINDOW_0 || part == WINDOW_1 ? op->side[part - WINDOW_0].window : NULL;
}

/* ---- out ---- */

static void *framed_room(struct efx_save *self, uint32_t key_group, uint32_t bytes)
{
    struct join_part *part = (struct join_part *)self;
    uint8_t *p = part->out->room(part->out, key_group, bytes + FRAME_BYTES);
    p[0] = part->no;
    memcpy(p + 1, &bytes, sizeof bytes);
    return p + FRAME_BYTES;
}

void efx_join__mark(struct efx_op *self, const struct efx_mark *mark)
{
    struct op_join *op = (struct op_join *)self;
    efx_join__kill_gone(op);
    for (uint32_t p = 0; p < JOIN_PARTS; p++) {
        if (log_of(op, p) != NULL) {
            efx_log_mark(log_of(op, p), mark);
        } else if (window_of(op, p) != NULL) {
            struct efx_window *w = window_of(op, p);
            w->vt->mark(w, mark);
        }
        op->part[p] = (struct join_part){.base = {.room = framed_room}, .no = (uint8_t)p};
    }
    op->saving = 0;
}

static uint32_t group_of(void *arg, uint32_t group)
{
    (void)arg;
    return group; /* logs keep key groups, not entries: these die before their rows are saved */
}

static enum efx_rc slice_part(struct op_join *op, uint32_t p, uint32_t budget_rows)
{
    static const struct efx_log_refs refs = {.key_group = group_of, .ordinal = group_of};
    if (log_of(op, p) != NULL) {
        return efx_log_slice(log_of(op, p), budget_rows, &refs, &op->part[p].base);
    }
    struct efx_window *w = window_of(op, p);
    return w != NULL ? w->vt->slice(w, budget_rows, &op->part[p].base) : EFX_DONE;
}

enum efx_rc efx_join__slice(struct efx_op *self, uint32_t budget_rows, struct efx_save *out)
{
    struct op_join *op = (struct op_join *)self;
    for (uint32_t p = 0; budget_rows == 0 && p < JOIN_PARTS; p++) {
        op->part[p].out = out;
        enum efx_rc rc = slice_part(op, p, 0);
        if (rc < 0) {
            return rc;
        }
    }
    while (budget_rows > 0 && op->saving < JOIN_PARTS) {
        enum efx_rc rc = slice_part(op, op->saving, budget_rows);
        if (rc != EFX_DONE) {
            return rc;
        }
        op->saving++;
    }
    return op->saving == JOIN_PARTS ? EFX_DONE : EFX_AGAIN;
}

/* ---- in ---- */

/* The frames of one part of a section, put together behind `head_bytes`. */
static enum efx_rc part_bytes(struct efx_mem *mem, struct efx_reader section, uint32_t part,
                              size_t head_bytes, struct efx_bytes *out)
{
    size_t n = 0;
    for (struct efx_reader r = section; r.left > 0 && !r.bad;) {
        uint8_t no = efx_get_u8(&r);
        struct efx_bytes frame = efx_get_view(&r, efx_get_u32(&r));
        if (r.bad || no >= JOIN_PARTS) {
            return EFX_EPARSE;
        }
        n += no == part ? frame.n : 0;
    }
    *out = (struct efx_bytes){NULL, 0};
    if (n == 0) {
        return EFX_OK;
    }
    struct efx_writer w = {.p = mem->alloc(mem, head_bytes + n), .max = head_bytes + n};
    if (w.p == NULL) {
        return EFX_ENOMEM;
    }
    w.n = head_bytes;
    for (struct efx_reader r = section; r.left > 0;) {
        uint8_t no = efx_get_u8(&r);
        struct efx_bytes frame = efx_get_view(&r, efx_get_u32(&r));
        efx_put_raw(&w, frame.p, no == part ? frame.n : 0);
    }
    *out = (struct efx_bytes){w.p, w.n};
    return EFX_OK;
}

/* A log's group is the ordinal that it saved. */
static enum efx_rc load_log(struct efx_log *log, uint32_t key_group, struct efx_reader *r)
{
    uint32_t same[EFX_KEY_GROUPS];
    for (uint32_t g = 0; g < EFX_KEY_GROUPS; g++) {
        same[g] = g;
    }
    struct efx_keyed_ids_out ids = {.id = same, .n = EFX_KEY_GROUPS, .n_max = EFX_KEY_GROUPS};
    EFX_RET(efx_log_load(log, key_group, r, &ids));
    return r->left == 0 ? EFX_OK : EFX_EPARSE;
}

static enum efx_rc load_part(struct op_join *op, uint32_t p, uint32_t key_group,
                             struct efx_reader section, struct efx_err *err)
{
    struct efx_log *log = log_of(op, p);
    struct efx_window *w = window_of(op, p);
    size_t head_bytes = w != NULL ? SECTION_HEAD_BYTES : 0;
    struct efx_bytes bytes;
    EFX_RET(part_bytes(op->mem, section, p, head_bytes, &bytes));
    if (bytes.n == 0) {
        return EFX_OK;
    }
    uint8_t *own = (uint8_t *)(uintptr_t)bytes.p;
    struct efx_reader r = {.p = own, .left = bytes.n};
    enum efx_rc rc = EFX_EPARSE; /* a part that this join does not have */
    if (log != NULL) {
        rc = load_log(log, key_group, &r);
    } else if (w != NULL) { /* a window reads whole sections */
        uint32_t n = (uint32_t)(bytes.n - head_bytes);
        memcpy(own, &key_group, sizeof key_group);
        memcpy(own + sizeof key_group, &n, sizeof n);
        rc = w->vt->load(w, (struct efx_kg_range){key_group, key_group}, &r, err);
    }
    op->mem->free(op->mem, own, bytes.n);
    return rc;
}

enum efx_rc efx_join__load(struct efx_op *self, struct efx_kg_range kg, struct efx_reader *r,
                           struct efx_err *err)
{
    struct op_join *op = (struct op_join *)self;
    uint32_t key_group;
    struct efx_reader section;
    while (efx_load_next(r, kg, &key_group, &section)) {
        for (uint32_t p = 0; p < JOIN_PARTS; p++) {
            enum efx_rc rc = load_part(op, p, key_group, section, err);
            if (rc != EFX_OK) {
                return EFX_FAIL(err, rc, EFX_KIND_ENV, 0, "join: saved part %u of group %u", p,
                                key_group);
            }
        }
    }
    return r->bad ? EFX_FAIL(err, EFX_EPARSE, EFX_KIND_ENV, 0, "join: saved state is cut") : EFX_OK;
}

/* ---- links anew ---- */

/* Keys of the rows number[0 .. n-1], as if they had just come. */
static enum efx_rc keys_of_held(struct op_join *op, uint32_t no, const uint64_t *number, uint32_t n,
                                struct join_keys *keys)
{
    struct join_side *s = &op->side[no];
    struct efx_ctx *ctx = op->base.ctx;
    uint32_t n_cols = s->conf->in.n_cols;
    struct efx_col *cols = efx_scratch(ctx, (n_cols + 2) * sizeof *cols);
    int64_t *ts_ms = efx_scratch(ctx, n * sizeof *ts_ms);
    uint32_t *at = efx_scratch(ctx, n * sizeof *at);
    efx_log_gather(s->log, ctx, number, n, cols, ts_ms);
    struct efx_batch b = {.n_rows = n, .n_cols = n_cols, .cols = cols, .ts_ms = ts_ms};
    if (op->partitioned) {
        b.n_hidden = 2;
        cols[n_cols + 1] = cols[n_cols]; /* birth; nobody asks for the copy */
        cols[n_cols] = (struct efx_col){.type = EFX_TYPE_INT, .data = at};
    }
    for (uint32_t i = 0; i < n; i++) {
        at[i] = i;
    }
    struct efx_fails fails = {.failed = efx_scratch_zero(ctx, efx_words(n) * sizeof *fails.failed),
                              .code = efx_scratch(ctx, n * sizeof *fails.code)};
    const struct efx_step step = {.what = EFX_STEP_EVENTS, .virtual_clock = true};
    struct join_rows rows = {.in = efx_rows_all(&b), .at = at, .n = n};
    return efx_join__keys(op, no, &step, &rows, true, &fails, keys);
}

static enum efx_rc relink(struct op_join *op, uint32_t no, const uint64_t *number, uint32_t n)
{
    struct join_side *s = &op->side[no];
    struct join_keys keys;
    EFX_RET(keys_of_held(op, no, number, n, &keys));
    for (uint32_t i = 0; i < n; i++) {
        struct join_link *l = join_link(s, number[i]);
        l->id = keys.id[i];
        l->time_ms = efx_log_ts(s->log, number[i]);
        join_link_in(op, no, number[i]);
        uint64_t taken = (efx_log_turn(s->log, number[i]) >> JOIN_TAG_SHIFT) + 1;
        s->tag_floor = taken > s->tag_floor ? taken : s->tag_floor;
    }
    return EFX_OK;
}

/* Calls `with` for the live rows of a log, a batch at a time. */
static enum efx_rc for_live(struct op_join *op, uint32_t no, const struct efx_log *log,
                            enum efx_rc (*with)(struct op_join *, uint32_t, const uint64_t *,
                                                uint32_t))
{
    struct efx_ctx *ctx = op->base.ctx;
    enum efx_rc rc = EFX_OK;
    for (uint64_t at = efx_log_head(log); rc == EFX_OK && at < efx_log_end(log);) {
        struct efx_ctx_mark mark = efx_ctx_begin(ctx);
        uint64_t *number = efx_scratch(ctx, EFX_BATCH_ROWS_MAX * sizeof *number);
        uint32_t n = 0;
        for (; n < EFX_BATCH_ROWS_MAX && at < efx_log_end(log); at = efx_log_next(log, at)) {
            number[n++] = at;
        }
        rc = with(op, no, number, n);
        efx_ctx_end(ctx, mark);
    }
    return rc;
}

static enum efx_rc settle_side(struct op_join *op, uint32_t no, struct efx_err *err)
{
    struct join_side *s = &op->side[no];
    if (s->window != NULL) {
        EFX_RET(s->window->vt->load_end(s->window, err));
    }
    if (s->log == NULL) {
        return EFX_OK;
    }
    EFX_RET(efx_log_settle(s->log));
    EFX_RET(efx_join__ring_fit(op, no, 0));
    s->n_loaded = s->entered = efx_log_end(s->log);
    s->drop_at = efx_log_head(s->log);
    return for_live(op, no, s->log, relink);
}

/* Joined rows in order, each into the lists of its members. */
static enum efx_rc relink_pairs(struct op_join *op, uint32_t no, const uint64_t *number, uint32_t n)
{
    (void)no;
    for (uint32_t i = 0; i < n; i++) {
        struct join_pair *p = join_pair(op, number[i]);
        for (uint32_t side = 0; side < 2; side++) {
            uint64_t tag;
            memcpy(&tag,
                   efx_log_slot(op->joined, number[i], op->joined_conf.n_cols - 2 + side, NULL),
                   sizeof tag);
            uint64_t member = tag == 0 ? 0 : efx_join__number(op, side, tag);
            if (member == UINT64_MAX) {
                return EFX_EPARSE;
            }
            p->member[side] = tag == 0 ? 0 : member + 1;
        }
        efx_join__pair_link(op, number[i]);
        uint64_t taken = (efx_log_turn(op->joined, number[i]) >> JOIN_TAG_SHIFT) + 1;
        op->pair_floor = taken > op->pair_floor ? taken : op->pair_floor;
    }
    return EFX_OK;
}

static enum efx_rc settle(struct op_join *op, struct efx_err *err)
{
    EFX_RET(settle_side(op, 0, err));
    EFX_RET(settle_side(op, 1, err));
    if (op->joined == NULL) {
        return EFX_OK;
    }
    EFX_RET(efx_log_settle(op->joined));
    EFX_RET(efx_join__pairs_fit(op, 0));
    return for_live(op, 0, op->joined, relink_pairs);
}

enum efx_rc efx_join__load_end(struct efx_op *self, struct efx_err *err)
{
    enum efx_rc rc = settle((struct op_join *)self, err);
    return rc == EFX_OK ? EFX_OK
                        : EFX_FAIL(err, rc, EFX_KIND_ENV, 0, "join: saved rows do not fit");
}
