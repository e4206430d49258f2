/* How a limiter is saved: whole, at the first slice after a mark.
 *
 *   u8 1 │ key │ i64 n                                          a copy's count
 *   u8 2 │ key │ i64 due │ u64 seq │ i64 ts │ u64 turn │ u8 kind │ u32 n, n bytes   a held row
 *   u8 3 │ key │ i64 n │ i64 passed                             a group's FIRST
 *
 * key: the row of birth and group columns, as in efx_rowbytes.h. A record lies in the section of
 * its
 * key's group, so shards can be split anew; load_end puts held rows back in order of (birth, turn,
 * seq), which is the order in which one shard would have held them.
 */
#include "limit.h"

#include "efx_rowbytes.h"

enum { RECORD_COPY = 1, RECORD_HELD, RECORD_FIRST };

enum efx_rc efx_limit__order(struct op_limit *self, uint32_t copy)
{
    if (self->n_order == self->n_order_max) {
        uint32_t max = self->n_order_max == 0 ? 16 : self->n_order_max * 2;
        uint32_t *more = efx_mem_grow(self->mem, self->order, self->n_order_max * sizeof *more,
                                      max * sizeof *more);
        if (more == NULL) {
            return EFX_ENOMEM;
        }
        self->order = more;
        self->n_order_max = max;
    }
    uint64_t birth = ((struct limit_copy *)efx_keyed_state(self->copies, copy, 0))->birth;
    uint32_t at = self->n_order++;
    for (; at > 0; at--) {
        const struct limit_copy *before = efx_keyed_state(self->copies, self->order[at - 1], 0);
        if (before->birth <= birth) {
            break;
        }
        self->order[at] = self->order[at - 1];
    }
    self->order[at] = copy;
    return EFX_OK;
}

void efx_limit__mark(struct efx_op *op, const struct efx_mark *mark)
{
    (void)mark;
    ((struct op_limit *)op)->marked = true;
}

/* The key of an entry as one-row columns in the scratch. */
static struct efx_col *key_cols(const struct op_limit *self, const struct efx_keyed *t, uint32_t id,
                                uint32_t n_cells, const enum efx_type *types)
{
    struct efx_ctx *ctx = self->base.ctx;
    struct efx_col *cols = efx_scratch(ctx, (n_cells + 1) * sizeof *cols);
    for (uint32_t c = 0; c < n_cells; c++) {
        void *slot = efx_scratch_zero(ctx, 16);
        uint64_t *valid = efx_scratch_zero(ctx, 8);
        efx_bit_put(valid, 0, efx_keyed_key(t, id, c, slot));
        cols[c] = (struct efx_col){types[c], slot, valid};
    }
    return cols;
}

struct key { /* of a record */
    struct efx_col *cols;
    uint32_t n, bytes, key_group;
};

static struct key key_of(const struct op_limit *self, const struct efx_keyed *t, uint32_t id,
                         uint32_t n)
{
    struct key k = {.n = n};
    k.cols = key_cols(self, t, id, n, self->key_types);
    k.bytes = efx_rowbytes_size(k.cols, n, 0);
    k.key_group = efx_keyed_group(t, id);
    return k;
}

static struct efx_writer record(struct efx_save *out, const struct key *k, uint8_t what,
                                uint32_t bytes)
{
    struct efx_writer w = efx_save_writer(out, k->key_group, 1 + k->bytes + bytes);
    efx_put_u8(&w, what);
    efx_rowbytes_put(k->cols, k->n, 0, w.p + w.n);
    w.n += k->bytes;
    return w;
}

static void save_held(const struct op_limit *self, struct efx_save *out, const struct key *k,
                      uint32_t ref, uint64_t seq)
{
    const struct limit_held *h = efx_heap_at(self->heap, ref);
    struct efx_writer w = record(out, k, RECORD_HELD, 8 + 8 + 8 + 8 + 1 + 4 + h->bytes);
    efx_put_i64(&w, self->due_ms);
    efx_put_u64(&w, seq);
    efx_put_i64(&w, h->ts_ms);
    efx_put_u64(&w, h->turn);
    efx_put_u8(&w, h->kind);
    efx_put_u32(&w, h->bytes);
    efx_put_raw(&w, h + 1, h->bytes);
}

static void save_copy(const struct op_limit *self, struct efx_save *out, uint32_t id)
{
    const struct limit_copy *c = efx_keyed_state(self->copies, id, 0);
    struct key k = key_of(self, self->copies, id, self->n_birth);
    struct efx_writer w = record(out, &k, RECORD_COPY, 8);
    efx_put_i64(&w, c->n);
    uint64_t seq = 0;
    for (uint32_t at = c->head; at != 0;) {
        if (self->conf->kind == EFX_AST_OUTPUT_LAST) {
            const struct limit_group *g = efx_keyed_state(self->groups, at - 1, 0);
            struct key gk = key_of(self, self->groups, at - 1, self->n_birth + self->conf->n_group);
            save_held(self, out, &gk, g->last, seq++);
            at = g->next;
        } else {
            const struct limit_held *h = efx_heap_at(self->heap, at);
            struct key hk =
                key_of(self, self->groups, h->group, self->n_birth + self->conf->n_group);
            save_held(self, out, &hk, at, seq++);
            at = h->next;
        }
    }
}

enum efx_rc efx_limit__slice(struct efx_op *op, uint32_t budget_rows, struct efx_save *out)
{
    struct op_limit *self = (struct op_limit *)op;
    (void)budget_rows;
    if (!self->marked) {
        return EFX_DONE;
    }
    self->marked = false;
    struct efx_ctx_mark m = efx_ctx_begin(op->ctx);
    for (uint32_t i = 0; i < self->n_order; i++) {
        save_copy(self, out, self->order[i]);
    }
    bool is_first = self->conf->kind == EFX_AST_OUTPUT_FIRST;
    for (uint32_t id = 0; is_first && id < efx_keyed_n_ids(self->groups); id++) {
        if (!efx_keyed_is_live(self->groups, id)) {
            continue;
        }
        const struct limit_group *g = efx_keyed_state(self->groups, id, 0);
        struct key k = key_of(self, self->groups, id, self->n_birth + self->conf->n_group);
        struct efx_writer w = record(out, &k, RECORD_FIRST, 16);
        efx_put_i64(&w, g->n);
        efx_put_i64(&w, g->passed_ms);
    }
    efx_ctx_end(op->ctx, m);
    return EFX_DONE;
}

/* ---- load ---- */

/* The copy and, with `group`, the group of a record's key. */
static enum efx_rc find_key(struct op_limit *self, struct efx_reader *r, uint32_t n, uint32_t *copy,
                            uint32_t *group)
{
    struct efx_ctx *ctx = self->base.ctx;
    struct efx_rowbytes_cols to = {.n_cols = n, .types = self->key_types};
    to.data = efx_scratch(ctx, (n + 1) * sizeof *to.data);
    to.valid = efx_scratch(ctx, (n + 1) * sizeof *to.valid);
    struct efx_col *cols = efx_scratch(ctx, (n + 1) * sizeof *cols);
    for (uint32_t c = 0; c < n; c++) {
        to.data[c] = efx_scratch_zero(ctx, 16);
        to.valid[c] = efx_scratch_zero(ctx, 8);
        cols[c] = (struct efx_col){self->key_types[c], to.data[c], to.valid[c]};
    }
    if (!efx_rowbytes_get(r, &to, 0)) {
        return EFX_EPARSE;
    }
    uint32_t n_new;
    EFX_RET(efx_keyed_ids(self->copies, cols, NULL, 1, copy, &n_new));
    struct limit_copy *c = efx_keyed_state(self->copies, *copy, 0);
    if (!c->known) {
        c->known = 1;
        c->birth = self->n_birth == 0 ? 0 : *(uint64_t *)to.data[0];
        EFX_RET(efx_limit__order(self, *copy));
    }
    return group == NULL ? EFX_OK : efx_keyed_ids(self->groups, cols, NULL, 1, group, &n_new);
}

static enum efx_rc keep_loaded(struct op_limit *self, const struct limit_loaded *l)
{
    if (self->n_loaded == self->n_loaded_max) {
        uint32_t max = self->n_loaded_max == 0 ? 64 : self->n_loaded_max * 2;
        struct limit_loaded *more = efx_mem_grow(
            self->mem, self->loaded, self->n_loaded_max * sizeof *more, max * sizeof *more);
        if (more == NULL) {
            return EFX_ENOMEM;
        }
        self->loaded = more;
        self->n_loaded_max = max;
    }
    self->loaded[self->n_loaded++] = *l;
    return EFX_OK;
}

static enum efx_rc load_held(struct op_limit *self, struct efx_reader *r)
{
    struct limit_loaded l = {0};
    EFX_RET(find_key(self, r, self->n_birth + self->conf->n_group, &l.copy, &l.group));
    self->due_ms = efx_get_i64(r);
    l.seq = efx_get_u64(r);
    struct limit_held h = {.ts_ms = efx_get_i64(r), .group = l.group};
    h.turn = efx_get_u64(r);
    h.kind = efx_get_u8(r);
    h.bytes = efx_get_u32(r);
    h.birth = ((struct limit_copy *)efx_keyed_state(self->copies, l.copy, 0))->birth;
    struct efx_bytes row = efx_get_view(r, h.bytes);
    if (r->bad) {
        return EFX_EPARSE;
    }
    EFX_RET(efx_heap_get(self->heap, (uint32_t)sizeof h + h.bytes, &l.ref));
    struct limit_held *kept = efx_heap_at(self->heap, l.ref);
    *kept = h;
    memcpy(kept + 1, row.p, row.n);
    l.birth = h.birth;
    l.turn = h.turn;
    self->last_turn = h.turn > self->last_turn ? h.turn : self->last_turn;
    return keep_loaded(self, &l);
}

static enum efx_rc load_record(struct op_limit *self, struct efx_reader *r)
{
    uint32_t copy, group;
    switch (efx_get_u8(r)) {
    case RECORD_COPY:
        EFX_RET(find_key(self, r, self->n_birth, &copy, NULL));
        ((struct limit_copy *)efx_keyed_state(self->copies, copy, 0))->n = efx_get_i64(r);
        return r->bad ? EFX_EPARSE : EFX_OK;
    case RECORD_HELD: return load_held(self, r);
    case RECORD_FIRST: {
        EFX_RET(find_key(self, r, self->n_birth + self->conf->n_group, &copy, &group));
        struct limit_group *g = efx_keyed_state(self->groups, group, 0);
        g->n = efx_get_i64(r);
        g->passed_ms = efx_get_i64(r);
        return r->bad ? EFX_EPARSE : EFX_OK;
    }
    default: return EFX_EPARSE;
    }
}

/* Saves are whole: what an earlier checkpoint brought is replaced. */
void efx_limit__load_begin(struct efx_op *op)
{
    struct op_limit *self = (struct op_limit *)op;
    for (uint32_t i = 0; i < self->n_loaded; i++) {
        const struct limit_held *h = efx_heap_at(self->heap, self->loaded[i].ref);
        efx_heap_put(self->heap, self->loaded[i].ref, (uint32_t)sizeof *h + h->bytes);
    }
    self->n_loaded = 0;
    self->due_ms = EFX_NEVER_MS;
}

enum efx_rc efx_limit__load(struct efx_op *op, struct efx_kg_range kg, struct efx_reader *r,
                            struct efx_err *err)
{
    struct op_limit *self = (struct op_limit *)op;
    struct efx_reader section;
    uint32_t key_group;
    enum efx_rc rc = EFX_OK;
    while (rc == EFX_OK && efx_load_next(r, kg, &key_group, &section)) {
        while (rc == EFX_OK && section.left > 0) {
            struct efx_ctx_mark m = efx_ctx_begin(op->ctx);
            rc = load_record(self, &section);
            efx_ctx_end(op->ctx, m);
        }
    }
    if (rc == EFX_ENOMEM) {
        return rc;
    }
    return r->bad || rc != EFX_OK ? EFX_FAIL(err, EFX_EPARSE, EFX_KIND_ENV, 0,
                                             "saved state of an OUTPUT clause is damaged")
                                  : EFX_OK;
}

static bool comes_before(const struct limit_loaded *a, const struct limit_loaded *b)
{
    if (a->birth != b->birth) {
        return a->birth < b->birth;
    }
    return a->turn != b->turn ? a->turn < b->turn : a->seq < b->seq;
}

static void chain(struct op_limit *self, const struct limit_loaded *l)
{
    struct limit_copy *c = efx_keyed_state(self->copies, l->copy, 0);
    bool last = self->conf->kind == EFX_AST_OUTPUT_LAST;
    uint32_t link = last ? l->group + 1 : l->ref;
    if (last) {
        struct limit_group *g = efx_keyed_state(self->groups, l->group, 0);
        g->last = l->ref;
        g->next = 0;
    }
    if (c->tail == 0) {
        c->head = link;
    } else if (last) {
        ((struct limit_group *)efx_keyed_state(self->groups, c->tail - 1, 0))->next = link;
    } else {
        ((struct limit_held *)efx_heap_at(self->heap, c->tail))->next = link;
    }
    c->tail = link;
    c->n_held++;
    self->n_held++;
}

enum efx_rc efx_limit__load_end(struct efx_op *op, struct efx_err *err)
{
    struct op_limit *self = (struct op_limit *)op;
    (void)err;
    for (uint32_t gap = self->n_loaded / 2; gap > 0; gap /= 2) {
        for (uint32_t i = gap; i < self->n_loaded; i++) {
            struct limit_loaded l = self->loaded[i];
            uint32_t j = i;
            for (; j >= gap && comes_before(&l, &self->loaded[j - gap]); j -= gap) {
                self->loaded[j] = self->loaded[j - gap];
            }
            self->loaded[j] = l;
        }
    }
    for (uint32_t i = 0; i < self->n_loaded; i++) {
        chain(self, &self->loaded[i]);
    }
    self->mem->free(self->mem, self->loaded, self->n_loaded_max * sizeof self->loaded[0]);
    self->loaded = NULL;
    self->n_loaded = self->n_loaded_max = 0;
    return EFX_OK;
}
