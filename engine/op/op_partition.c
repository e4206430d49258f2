/* PARTITION: gives each row the id and birth of the copy of its key (language §10).
 *
 *   key part       row ──► the same row, copy and birth behind; a NULL in the key: not there,
 *   counted
 *   ranges         row ──► one row for every label whose condition is TRUE, in the order written
 *   not listed     row ──► one row for every copy that exists now, in order of creation
 *
 * One table over all parts of the block: equal keys address the same copy. A copy's birth says
 * when it was created and where its state belongs, the same on any number of shards:
 *
 *   63                20      10                 0
 *   global turn + 1   number  key group of the key      unique, and grows in order of creation
 *
 *   State   one keyed entry per copy: birth
 *   Limits  1,024 labels a block
 */
#include "efx_ops.h"

enum { NUMBER_SHIFT = 10, TURN_SHIFT = 20, ROWS = EFX_BATCH_ROWS_MAX };

struct op_partition {
    struct efx_op base;
    const struct efx_partition_conf *conf;
    struct efx_mem *mem;
    struct efx_keyed *copies;
    int64_t last_birth;
    uint32_t n_order, n_order_max;
    uint32_t *order; /* copies by birth */
    uint64_t n_null; /* events without a key */
};

static int64_t *birth_of(const struct op_partition *self, uint32_t id)
{
    return efx_keyed_state(self->copies, id, 0);
}

static enum efx_rc order_add(struct op_partition *self, uint32_t id)
{
    if (self->n_order == self->n_order_max) {
        uint32_t max = self->n_order_max == 0 ? 64 : self->n_order_max * 2;
        uint32_t *more = efx_mem_grow(self->mem, self->order, self->n_order_max * sizeof *more,
                                      max * sizeof *more);
        if (more == NULL) {
            return EFX_ENOMEM;
        }
        self->order = more;
        self->n_order_max = max;
    }
    self->order[self->n_order++] = id;
    return EFX_OK;
}

/* Ids of the keys at these rows; new copies get their births in the order of the rows. */
static enum efx_rc find(struct op_partition *self, const struct efx_step *step,
                        const struct efx_batch *b, const struct efx_col *keys, uint32_t n,
                        const uint32_t *at, const uint32_t *row_of, uint32_t *id)
{
    uint32_t n_new;
    EFX_RET(efx_keyed_ids(self->copies, keys, at, n, id, &n_new));
    for (uint32_t i = 0; i < n && n_new > 0; i++) {
        int64_t *birth = birth_of(self, id[i]);
        if (*birth != 0) {
            continue;
        }
        n_new--;
        int64_t turn = 0;
        uint32_t row = row_of[i];
        if (b->moment != NULL && efx_moment_is_event(b->moment[row])) {
            turn = (int64_t)((efx_step_turn(step, b->moment[row]) + 1) << TURN_SHIFT);
        }
        int64_t next = ((self->last_birth >> NUMBER_SHIFT) + 1) << NUMBER_SHIFT;
        self->last_birth = turn > next ? turn : next;
        *birth = self->last_birth | efx_keyed_group(self->copies, id[i]);
        EFX_RET(order_add(self, id[i]));
    }
    return EFX_OK;
}

/* A key for every row: rows stay where they are. */
static enum efx_rc by_key(struct op_partition *self, uint32_t inlet, const struct efx_step *step,
                          const struct efx_rows *in)
{
    struct efx_op *op = &self->base;
    const struct efx_partition_part *part = &self->conf->parts[inlet];
    uint32_t w0 = in->from / 64, w1 = efx_words(in->until);
    struct efx_fails fails = {efx_scratch_zero(op->ctx, w1 * 8),
                              efx_scratch(op->ctx, in->until * 2), false};
    struct efx_col *keys = efx_scratch(op->ctx, (part->n_exprs + 1) * sizeof *keys);
    uint64_t *there = efx_scratch(op->ctx, w1 * sizeof *there);
    for (uint32_t w = w0; w < w1; w++) {
        there[w] = efx_rows_word(in, w);
    }
    for (uint32_t k = 0; k < part->n_exprs; k++) {
        efx_expr_eval(part->exprs[k], op->ctx, step, in, &keys[k], &fails);
        for (uint32_t w = w0; w < w1; w++) {
            there[w] &= ~fails.failed[w];
            there[w] &= keys[k].valid == NULL ? UINT64_MAX : keys[k].valid[w];
        }
    }
    struct efx_batch b = *in->b;
    b.sel = there;
    struct efx_rows rows = {&b, in->from, in->until};
    uint32_t *at = efx_scratch(op->ctx, (in->until - in->from) * sizeof *at);
    uint32_t n = efx_rows_list(&rows, at);
    self->n_null += efx_rows_count(in) - n;
    if (n == 0) {
        return EFX_OK;
    }
    uint32_t *id = efx_scratch(op->ctx, n * sizeof *id);
    EFX_RET(find(self, step, in->b, keys, n, at, at, id));
    int32_t *copy = efx_scratch(op->ctx, in->until * sizeof *copy);
    int64_t *birth = efx_scratch(op->ctx, in->until * sizeof *birth);
    const struct efx_states births = efx_keyed_states(self->copies, 0);
    for (uint32_t i = 0; i < n; i++) {
        copy[at[i]] = (int32_t)id[i];
        birth[at[i]] = *(const int64_t *)efx_state_at(&births, id[i]);
    }
    uint32_t n_cols = part->in.n_cols;
    struct efx_col *cols = efx_scratch(op->ctx, (n_cols + 2) * sizeof *cols);
    memcpy(cols, in->b->cols, n_cols * sizeof *cols);
    cols[n_cols] = (struct efx_col){EFX_TYPE_INT, copy, NULL};
    cols[n_cols + 1] = (struct efx_col){EFX_TYPE_LONG, birth, NULL};
    b.cols = cols;
    b.n_hidden = 2;
    op->n_rows_out += n;
    return efx_edge_push(&op->out[inlet].rows, step, &rows);
}

struct copies_out { /* rows under construction: row of the input, its copy */
    uint32_t n;
    uint32_t row[ROWS];
    int32_t copy[ROWS];
    int64_t birth[ROWS];
};

static enum efx_rc push_copies(struct op_partition *self, uint32_t outlet,
                               const struct efx_step *step, const struct efx_batch *b,
                               struct copies_out *o)
{
    struct efx_op *op = &self->base;
    uint32_t n_cols = self->conf->parts[outlet].in.n_cols;
    struct efx_col *cols = efx_scratch(op->ctx, (n_cols + 2) * sizeof *cols);
    for (uint32_t c = 0; c < n_cols; c++) {
        void *data = efx_scratch(op->ctx, o->n * efx_type_width(b->cols[c].type));
        uint64_t *valid = NULL;
        if (b->cols[c].valid != NULL) {
            valid = efx_scratch_zero(op->ctx, efx_words(o->n) * 8);
        }
        for (uint32_t i = 0; i < o->n; i++) {
            efx_col_copy_slot(data, i, &b->cols[c], o->row[i]);
            if (valid != NULL) {
                efx_bit_put(valid, i, efx_bit(b->cols[c].valid, o->row[i]));
            }
        }
        cols[c] = (struct efx_col){b->cols[c].type, data, valid};
    }
    cols[n_cols] = (struct efx_col){EFX_TYPE_INT, o->copy, NULL};
    cols[n_cols + 1] = (struct efx_col){EFX_TYPE_LONG, o->birth, NULL};
    int64_t *ts = efx_scratch(op->ctx, o->n * sizeof *ts);
    int64_t *clk = efx_scratch(op->ctx, o->n * sizeof *clk);
    efx_moment *moment = b->moment == NULL ? NULL : efx_scratch(op->ctx, o->n * sizeof *moment);
    for (uint32_t i = 0; i < o->n; i++) {
        ts[i] = b->ts_ms[o->row[i]];
        clk[i] = efx_batch_clk_ms(b, o->row[i]);
        if (moment != NULL) {
            moment[i] = b->moment[o->row[i]];
        }
    }
    struct efx_batch made = {.n_rows = o->n,
                             .n_cols = n_cols,
                             .n_hidden = 2,
                             .cols = cols,
                             .ts_ms = ts,
                             .clk_ms = clk,
                             .moment = moment};
    struct efx_rows rows = efx_rows_all(&made);
    op->n_rows_out += o->n;
    o->n = 0;
    return efx_edge_push(&op->out[outlet].rows, step, &rows);
}

static enum efx_rc copy_add(struct op_partition *self, uint32_t outlet, const struct efx_step *step,
                            const struct efx_batch *b, uint32_t row, uint32_t id,
                            struct copies_out *o)
{
    o->row[o->n] = row;
    o->copy[o->n] = (int32_t)id;
    o->birth[o->n++] = *birth_of(self, id);
    return o->n == ROWS ? push_copies(self, outlet, step, b, o) : EFX_OK;
}

/* Ranges: labels whose condition is TRUE, in the order written. */
static enum efx_rc by_label(struct op_partition *self, uint32_t inlet, const struct efx_step *step,
                            const struct efx_rows *in)
{
    struct efx_op *op = &self->base;
    const struct efx_partition_part *part = &self->conf->parts[inlet];
    uint32_t w1 = efx_words(in->until);
    struct efx_fails fails = {efx_scratch_zero(op->ctx, w1 * 8),
                              efx_scratch(op->ctx, in->until * 2), false};
    uint64_t **yes = efx_scratch(op->ctx, part->n_labels * sizeof *yes);
    struct efx_cell *label = efx_scratch(op->ctx, part->n_labels * sizeof *label);
    for (uint32_t k = 0; k < part->n_labels; k++) {
        yes[k] = efx_scratch_zero(op->ctx, w1 * 8);
        efx_expr_filter(part->conds[k], op->ctx, step, in, yes[k], &fails);
        label[k] = efx_cell_make(part->labels[k].p, part->labels[k].n);
    }
    struct efx_col key = {EFX_TYPE_STRING, label, NULL};
    struct copies_out *o = efx_scratch(op->ctx, sizeof *o);
    o->n = 0;
    for (uint32_t i = in->from; i < in->until; i++) {
        if (!efx_bit(in->b->sel, i)) {
            continue;
        }
        for (uint32_t k = 0; k < part->n_labels; k++) {
            if (efx_bit(yes[k], i) && !efx_bit(fails.failed, i)) {
                uint32_t id;
                EFX_RET(find(self, step, in->b, &key, 1, &k, &i, &id));
                EFX_RET(copy_add(self, inlet, step, in->b, i, id, o));
            }
        }
    }
    return o->n == 0 ? EFX_OK : push_copies(self, inlet, step, in->b, o);
}

/* Not listed: to every copy there is. */
static enum efx_rc to_all(struct op_partition *self, uint32_t inlet, const struct efx_step *step,
                          const struct efx_rows *in)
{
    struct copies_out *o = efx_scratch(self->base.ctx, sizeof *o);
    o->n = 0;
    for (uint32_t i = in->from; i < in->until; i++) {
        for (uint32_t k = 0; k < self->n_order && efx_bit(in->b->sel, i); k++) {
            EFX_RET(copy_add(self, inlet, step, in->b, i, self->order[k], o));
        }
    }
    return o->n == 0 ? EFX_OK : push_copies(self, inlet, step, in->b, o);
}

static enum efx_rc partition_rows(struct efx_op *op, uint32_t inlet, const struct efx_step *step,
                                  const struct efx_rows *in)
{
    struct op_partition *self = (struct op_partition *)op;
    const struct efx_partition_part *part = &self->conf->parts[inlet];
    struct efx_ctx_mark m = efx_ctx_begin(op->ctx);
    op->n_rows_in += efx_rows_count(in);
    enum efx_rc rc = part->n_exprs > 0    ? by_key(self, inlet, step, in)
                     : part->n_labels > 0 ? by_label(self, inlet, step, in)
                                          : to_all(self, inlet, step, in);
    efx_ctx_end(op->ctx, m);
    return rc;
}

static void partition_mark(struct efx_op *op, const struct efx_mark *mark)
{
    efx_keyed_mark(((struct op_partition *)op)->copies, mark);
}

static enum efx_rc partition_slice(struct efx_op *op, uint32_t budget_rows, struct efx_save *out)
{
    return efx_keyed_slice(((struct op_partition *)op)->copies, budget_rows, out);
}

static enum efx_rc partition_load(struct efx_op *op, struct efx_kg_range kg, struct efx_reader *r,
                                  struct efx_err *err)
{
    struct op_partition *self = (struct op_partition *)op;
    struct efx_reader section;
    uint32_t key_group;
    while (efx_load_next(r, kg, &key_group, &section)) {
        EFX_RET(efx_keyed_load(self->copies, key_group, &section, NULL));
    }
    return r->bad
               ? EFX_FAIL(err, EFX_EPARSE, EFX_KIND_ENV, 0, "saved state of a partition is damaged")
               : EFX_OK;
}

/* Creation order is the order of births, whatever the sections' order was. */
static enum efx_rc partition_load_end(struct efx_op *op, struct efx_err *err)
{
    struct op_partition *self = (struct op_partition *)op;
    (void)err;
    self->n_order = 0;
    for (uint32_t id = 0; id < efx_keyed_n_ids(self->copies); id++) {
        if (efx_keyed_is_live(self->copies, id)) {
            EFX_RET(order_add(self, id));
            int64_t birth = *birth_of(self, id);
            self->last_birth = birth > self->last_birth ? birth : self->last_birth;
        }
    }
    for (uint32_t gap = self->n_order / 2; gap > 0; gap /= 2) {
        for (uint32_t i = gap; i < self->n_order; i++) {
            uint32_t id = self->order[i];
            uint32_t j = i;
            for (; j >= gap && *birth_of(self, self->order[j - gap]) > *birth_of(self, id);
                 j -= gap) {
                self->order[j] = self->order[j - gap];
            }
            self->order[j] = id;
        }
    }
    return EFX_OK;
}

static size_t partition_bytes(const struct efx_op *op)
{
    const struct op_partition *self = (const struct op_partition *)op;
    return efx_keyed_bytes(self->copies) + self->n_order_max * sizeof self->order[0];
}

static void partition_close(struct efx_op *op)
{
    struct op_partition *self = (struct op_partition *)op;
    efx_keyed_destroy(&self->copies);
    self->mem->free(self->mem, self->order, self->n_order_max * sizeof self->order[0]);
}

static const struct efx_op_vt partition_vt = {
    .name = "partition",
    .rows = partition_rows,
    .next_due_ms = efx_op_never_due,
    .finish = efx_op_nothing_due,
    .stop = efx_op_nothing_held,
    .origin_set = efx_op_origin_ignore,
    .schema = 1,
    .mark = partition_mark,
    .slice = partition_slice,
    .load = partition_load,
    .load_end = partition_load_end,
    .bytes = partition_bytes,
    .close = partition_close,
};

enum efx_rc efx_op_partition_create(const struct efx_op_open *how,
                                    const struct efx_partition_conf *conf, struct efx_op **out)
{
    static const struct efx_keyed_state birth = {.bytes = sizeof(int64_t)};
    struct op_partition *self = EFX_NEW(how->arena, struct op_partition);
    if (self == NULL) {
        return EFX_ENOMEM;
    }
    EFX_RET(efx_op_init(&self->base, &partition_vt, how));
    self->conf = conf;
    self->mem = how->mem;
    struct efx_keyed_conf *keyed = EFX_NEW(how->arena, struct efx_keyed_conf);
    if (keyed == NULL) {
        return EFX_ENOMEM;
    }
    *keyed = (struct efx_keyed_conf){
        .n_cells = conf->n_keys, .types = conf->key_types, .n_states = 1, .states = &birth};
    EFX_RET(efx_keyed_create(how->mem, how->ctx, keyed, &self->copies));
    *out = &self->base;
    return EFX_OK;
}
