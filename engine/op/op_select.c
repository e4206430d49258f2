/* The selector: window, groups, aggregates, HAVING, row sets (language §3.4 – 3.6). What its files
 * share is told in select.h; here it is put together, once: which mode, which columns a window must
 * see and give back, which states a group has.
 *
 *   window       kinds wanted       aggregates or GROUP BY   mode
 *   none         –                  –                        RUN
 *   sliding      current            none                     RUN: it changes nothing
 *   sliding      current            yes                      SLIDE
 *   batch        current            yes                      EAGER, if the window can
 *   batch        with expired       yes                      PANE
 *   any          else                                        CHANGES
 *
 *   Groups   key = (birth of the copy,) GROUP BY. In a PARTITION state belongs to the key group of
 *            the partition's key, which the birth says
 *   Limits   EFX_KEYED_CELLS_MAX key cells, EFX_LOG_COLS_MAX held columns
 */
#include "select.h"

static enum efx_rc select_rows(struct efx_op *op, uint32_t inlet, const struct efx_step *step,
                               const struct efx_rows *in)
{
    struct op_select *self = (struct op_select *)op;
    struct efx_ctx_mark m = efx_ctx_begin(op->ctx);
    enum efx_rc rc = EFX_OK;
    (void)inlet;
    switch (self->mode) {
    case SELECT_RUN: rc = efx_select__run(self, step, in); break;
    case SELECT_SLIDE: rc = efx_select__slide(self, step, in); break;
    case SELECT_EAGER: rc = efx_select__eager(self, step, in); break;
    case SELECT_PANE:
    case SELECT_CHANGES: rc = efx_select__through(self, step, in, 0); break;
    }
    efx_ctx_end(op->ctx, m);
    return rc;
}

/* SLIDE: what is due leaves before the next row, and nobody looks before. */
static int64_t select_next_due(const struct efx_op *op)
{
    const struct op_select *self = (const struct op_select *)op;
    return self->window == NULL || self->mode == SELECT_SLIDE
               ? EFX_NEVER_MS
               : self->window->vt->next_due_ms(self->window);
}

static enum efx_rc select_finish(struct efx_op *op, const struct efx_step *step, efx_moment until)
{
    struct op_select *self = (struct op_select *)op;
    if (!efx_op_due(op, step, select_next_due(op), until)) {
        return EFX_OK;
    }
    struct efx_ctx_mark m = efx_ctx_begin(op->ctx);
    enum efx_rc rc = self->mode == SELECT_EAGER ? efx_select__eager_fire(self, step, until)
                                                : efx_select__through(self, step, NULL, until);
    efx_ctx_end(op->ctx, m);
    return rc;
}

static void select_origin_set(struct efx_op *op, int64_t t0_ms)
{
    struct op_select *self = (struct op_select *)op;
    if (self->window != NULL) {
        self->window->vt->origin_set(self->window, t0_ms);
    }
}

static size_t select_bytes(const struct efx_op *op)
{
    const struct op_select *self = (const struct op_select *)op;
    return (self->grouped ? efx_keyed_bytes(self->groups) : 0) +
           (self->lists != NULL ? efx_keyed_bytes(self->lists) : 0) +
           (self->window != NULL ? self->window->vt->bytes(self->window) : 0) +
           self->n_empty_max * sizeof *self->empty + self->n_by_copy * sizeof *self->by_copy;
}

static void select_close(struct efx_op *op)
{
    struct op_select *self = (struct op_select *)op;
    if (self->window != NULL) {
        self->window->vt->close(self->window);
        self->window = NULL;
    }
    if (self->groups != NULL) {
        efx_keyed_destroy(&self->groups);
    }
    if (self->lists != NULL) {
        efx_keyed_destroy(&self->lists);
    }
    if (self->by_copy != NULL) {
        self->mem->free(self->mem, self->by_copy, self->n_by_copy * sizeof *self->by_copy);
        self->by_copy = NULL;
    }
    if (self->empty != NULL) {
        self->mem->free(self->mem, self->empty, self->n_empty_max * sizeof *self->empty);
        self->empty = NULL;
    }
    if (self->ids.id != NULL) {
        self->mem->free(self->mem, self->ids.id, self->ids.n_max * sizeof *self->ids.id);
        self->ids.id = NULL;
    }
}

static const struct efx_op_vt select_vt = {
    .name = "select",
    .rows = select_rows,
    .next_due_ms = select_next_due,
    .finish = select_finish,
    .stop = efx_op_nothing_held,
    .origin_set = select_origin_set,
    .schema = 1,
    .mark = efx_select__mark,
    .slice = efx_select__slice,
    .load = efx_select__load,
    .load_end = efx_select__load_end,
    .bytes = select_bytes,
    .close = select_close,
};

/* ---- shape ---- */

static bool is_used(const struct op_select *self, uint32_t c)
{
    if (c >= self->conf->in.n_cols) {
        return self->conf->keep_hidden;
    }
    return self->conf->used == NULL || self->conf->used[c];
}

/* Returns the window that is needed; NULL = none. */
static const struct efx_window_vt *mode_choose(struct op_select *self)
{
    const struct efx_select_conf *conf = self->conf;
    const struct efx_window_vt *vt = conf->window;
    bool aggregated = conf->n_aggs > 0 || conf->n_group > 0;
    bool whole = vt != NULL && vt->base.traits.evicts == EFX_EVICTS_WHOLE;
    bool slides = vt != NULL && vt->slide != NULL && !conf->expired;
    if (slides && conf->n_aggs == 0) {
        vt = NULL;
    }
    if (vt == NULL) {
        self->mode = SELECT_RUN;
    } else if (slides) {
        self->mode = SELECT_SLIDE;
    } else if (whole && aggregated) {
        bool in_place = self->by_row && vt->base.traits.timers != 0; /* may hold rows back */
        bool eager = vt->pass != NULL && !conf->expired && !in_place;
        self->mode = eager ? SELECT_EAGER : SELECT_PANE;
    } else {
        self->mode = SELECT_CHANGES;
    }
    bool pane = self->mode == SELECT_EAGER || self->mode == SELECT_PANE;
    self->grouped = conf->n_aggs > 0 || pane;
    self->keyed = self->grouped && (self->partitioned || conf->n_group > 0);
    self->rekey = self->mode == SELECT_PANE ||
                  (self->partitioned && (self->mode == SELECT_CHANGES ||
                                         (self->mode == SELECT_SLIDE && conf->n_group > 0)));
    self->counts = self->keyed && (self->mode == SELECT_SLIDE || self->mode == SELECT_CHANGES ||
                                   (self->mode == SELECT_RUN && conf->kinds_in));
    self->ttl_ms = self->mode == SELECT_RUN && !self->counts ? conf->group_ttl_ms : -1;
    for (uint32_t k = 0; k < conf->n_aggs; k++) {
        self->forever = self->forever || efx_select__is_forever(conf->aggs[k].vt);
    }
    self->sets =
        (conf->n_order > 0 || conf->limit >= 0 || conf->offset > 0) && (conf->sets_in || whole);
    return vt;
}

/* The form of an aggregate for how rows leave (efx_traits.h). Rows of a window by time may be late,
 * then they leave before others that came earlier. */
static const struct efx_agg_vt *form_of(const struct op_select *self, const struct efx_agg_vt *vt)
{
    const struct efx_select_conf *conf = self->conf;
    const struct efx_agg_vt *form = NULL;
    switch (self->mode) {
    case SELECT_RUN:
        form = conf->kinds_in && !conf->expired_still ? vt->any_order : vt->running;
        break;
    case SELECT_EAGER:
    case SELECT_PANE: form = vt->running; break;
    case SELECT_SLIDE:
    case SELECT_CHANGES:
        if (conf->window->base.traits.evicts != EFX_EVICTS_BY_ARRIVAL) {
            form = vt->any_order;
        }
        break;
    }
    return form != NULL ? form : vt;
}

/* The wide batch: columns that are added to the input's. */
static enum efx_rc wide_make(struct op_select *self, struct efx_arena *arena)
{
    const struct efx_select_conf *conf = self->conf;
    bool slides = self->mode == SELECT_SLIDE || self->mode == SELECT_CHANGES;
    uint32_t n = self->n_in, max = self->n_in + 2 + conf->n_group + conf->n_aggs;
    self->wide_types = EFX_NEW_N(arena, enum efx_type, max + 1);
    self->aggs = EFX_NEW_N(arena, struct select_agg, conf->n_aggs + 1);
    if (self->wide_types == NULL || self->aggs == NULL) {
        return EFX_ENOMEM;
    }
    memcpy(self->wide_types, conf->in.types, conf->in.n_cols * sizeof *self->wide_types);
    if (self->partitioned) {
        self->wide_types[conf->in.n_cols] = EFX_TYPE_INT;
        self->wide_types[conf->in.n_cols + 1] = EFX_TYPE_LONG;
    }
    self->id_col = self->key_col = self->number_col = EFX_NO_COL;
    bool by_key_group = self->mode == SELECT_PANE || (slides && !self->grouped);
    if ((slides && self->keyed && !self->rekey) ||
        (by_key_group && !self->partitioned && conf->n_group > 0)) {
        self->id_col = n;
        self->wide_types[n++] = EFX_TYPE_INT;
    }
    if (self->rekey && conf->n_group > 0) {
        self->key_col = n;
        for (uint32_t k = 0; k < conf->n_group; k++) {
            self->wide_types[n++] = efx_expr_type(conf->group[k]);
        }
    }
    for (uint32_t k = 0; k < conf->n_aggs; k++) {
        const struct efx_select_agg *a = &conf->aggs[k];
        uint32_t col = a->arg != NULL ? efx_expr_col(a->arg) : EFX_NO_COL;
        struct select_agg *agg = &self->aggs[k];
        *agg = (struct select_agg){
            .vt = form_of(self, a->vt), .col = EFX_NO_COL, .by_arg = a->arg != NULL};
        if (col != EFX_NO_COL && a->filter == NULL) {
            agg->col = col;
            agg->plain = true;
        } else if (a->arg != NULL || a->filter != NULL) {
            agg->col = n;
            self->wide_types[n++] = a->arg != NULL ? efx_expr_type(a->arg) : EFX_TYPE_BOOL;
        }
    }
    bool numbers = slides || (conf->kinds_in && !conf->expired_still);
    for (uint32_t k = 0; numbers && k < conf->n_aggs; k++) {
        if (self->aggs[k].vt->by_number && self->number_col == EFX_NO_COL) {
            self->number_col = n;
            self->wide_types[n++] = EFX_TYPE_LONG;
        }
    }
    self->n_wide = n;
    return EFX_OK;
}

/* Pairs: every aggregate takes them, and none asks which rows to pass over. */
static bool takes_pairs(const struct op_select *self)
{
    for (uint32_t k = 0; k < self->conf->n_aggs; k++) {
        const struct select_agg *agg = &self->aggs[k];
        if (!agg->vt->pairs || (agg->col != EFX_NO_COL && !agg->by_arg)) {
            return false;
        }
    }
    return self->mode == SELECT_SLIDE && !self->rekey;
}

/* A group of a sliding window counts its rows anyhow: a count(*) need not count them again. */
static uint32_t count_agg(const struct op_select *self)
{
    for (uint32_t k = 0; self->mode == SELECT_SLIDE && self->counts && k < self->conf->n_aggs;
         k++) {
        const struct select_agg *agg = &self->aggs[k];
        if (strcmp(agg->vt->base.name, "count") == 0 && agg->vt->in == EFX_TYPE_NONE &&
            agg->col == EFX_NO_COL) {
            return k;
        }
    }
    return EFX_NO_COL;
}

/* The key's cell that says the same as column c; floats are normalised there, so they do not. */
static uint32_t same_cell(const struct op_select *self, uint32_t c)
{
    if (self->partitioned && c == self->conf->in.n_cols + 1) {
        return 0;
    }
    enum efx_type type = self->wide_types[c];
    for (uint32_t k = 0; k < self->conf->n_group; k++) {
        if (efx_expr_col(self->conf->group[k]) == c && type != EFX_TYPE_FLOAT &&
            type != EFX_TYPE_DOUBLE) {
            return self->partitioned + k;
        }
    }
    return EFX_NO_COL;
}

static enum efx_rc keeps_make(struct op_select *self, struct efx_arena *arena)
{
    self->keeps = EFX_NEW_N(arena, struct select_keep, self->n_in + 1);
    if (self->keeps == NULL) {
        return EFX_ENOMEM;
    }
    if (self->mode != SELECT_EAGER && self->mode != SELECT_PANE) {
        return EFX_OK;
    }
    for (uint32_t c = 0; c < self->n_in; c++) {
        if (is_used(self, c)) {
            self->keeps[self->n_keeps++] = (struct select_keep){
                .col = c, .type = self->wide_types[c], .key = same_cell(self, c)};
        }
    }
    return EFX_OK;
}

/* ---- the table ---- */

static enum efx_rc key_make(struct op_select *self, struct efx_arena *arena, bool *nullable)
{
    const struct efx_select_conf *conf = self->conf;
    self->key_types = EFX_NEW_N(arena, enum efx_type, conf->n_group + 2);
    if (self->key_types == NULL) {
        return EFX_ENOMEM;
    }
    if (self->partitioned) {
        self->key_types[self->n_keys++] = EFX_TYPE_LONG;
    }
    *nullable = false;
    for (uint32_t k = 0; k < conf->n_group; k++) {
        self->key_types[self->n_keys++] = efx_expr_type(conf->group[k]);
        *nullable = *nullable || conf->group_not_null == NULL || !conf->group_not_null[k];
    }
    return EFX_OK;
}

static uint32_t plain_bytes(const struct op_select *self)
{
    if (self->mode == SELECT_EAGER || self->mode == SELECT_PANE) {
        return sizeof(struct select_group);
    }
    return self->counts ? sizeof(uint64_t) : 2 * sizeof(int64_t); /* or last use */
}

static enum efx_rc table_make(struct op_select *self, const struct efx_op_open *how,
                              struct efx_err *err)
{
    const struct efx_select_conf *conf = self->conf;
    bool nullable;
    EFX_RET(key_make(self, how->arena, &nullable));
    if (!self->grouped) {
        return EFX_OK;
    }
    if (self->n_keys > EFX_KEYED_CELLS_MAX) {
        return EFX_FAIL(err, EFX_ELIMIT, EFX_KIND_USER, 0, "more than %d columns in GROUP BY",
                        EFX_KEYED_CELLS_MAX - 1);
    }
    self->states = EFX_NEW_N(how->arena, struct efx_keyed_state, conf->n_aggs + self->n_keeps + 1);
    if (self->states == NULL) {
        return EFX_ENOMEM;
    }
    uint32_t n = 0;
    for (; n < conf->n_aggs; n++) {
        self->states[n].agg = self->aggs[n].vt;
    }
    for (uint32_t k = 0; k < self->n_keeps; k++) {
        if (self->keeps[k].key == EFX_NO_COL) {
            self->keeps[k].state = n;
            self->states[n++] = efx_select__keep_state(self->keeps[k].type);
        }
    }
    self->plain = n;
    bool has_plain = self->mode == SELECT_EAGER || self->mode == SELECT_PANE || self->counts ||
                     self->ttl_ms >= 0;
    if (has_plain) {
        self->states[n++].bytes = plain_bytes(self);
    }
    self->groups_conf = (struct efx_keyed_conf){
        .n_cells = self->n_keys,
        .types = self->key_types,
        .nullable = nullable,
        .n_states = n,
        .states = self->states,
        .ordinals = self->id_col != EFX_NO_COL && self->mode != SELECT_PANE,
        .key_group = self->base.key_group,
        .birth_group = self->partitioned,
    };
    return efx_keyed_create(how->mem, how->ctx, &self->groups_conf, &self->groups);
}

/* Lists of groups, per copy: where copies flush at times of their own. */
static enum efx_rc lists_make(struct op_select *self, const struct efx_op_open *how)
{
    static const enum efx_type birth = EFX_TYPE_LONG;
    static const struct efx_keyed_state list = {.bytes = sizeof(struct select_list)};
    static const struct efx_keyed_conf conf = {
        .n_cells = 1, .types = &birth, .n_states = 1, .states = &list};
    return self->mode == SELECT_EAGER && self->partitioned
               ? efx_keyed_create(how->mem, how->ctx, &conf, &self->lists)
               : EFX_OK;
}

/* ---- the window ---- */

static void hold(struct op_select *self, uint32_t col)
{
    if (col != EFX_NO_COL && self->held_of[col] == EFX_NO_COL) {
        self->held_of[col] = self->n_held;
        self->held[self->n_held++] = col;
    }
}

static enum efx_rc held_make(struct op_select *self, struct efx_arena *arena, struct efx_err *err)
{
    self->held = EFX_NEW_N(arena, uint32_t, self->n_wide + 1);
    self->held_of = EFX_NEW_N(arena, uint32_t, self->n_wide + 1);
    self->group_keys = EFX_NEW_N(arena, uint32_t, self->conf->n_group + 1);
    if (self->held == NULL || self->held_of == NULL || self->group_keys == NULL) {
        return EFX_ENOMEM;
    }
    memset(self->held_of, 0xFF, (self->n_wide + 1) * sizeof *self->held_of);
    if (self->mode == SELECT_RUN || self->mode == SELECT_EAGER) {
        return EFX_OK;
    }
    for (uint32_t c = 0; c < self->n_in && self->mode != SELECT_SLIDE; c++) {
        if (is_used(self, c)) {
            hold(self, c);
        }
    }
    for (uint32_t k = 0; k < self->conf->n_aggs; k++) {
        hold(self, self->aggs[k].col);
    }
    hold(self, self->number_col);
    if (self->rekey && self->partitioned) {
        hold(self, self->conf->in.n_cols + 1);
    }
    for (uint32_t k = 0; self->key_col != EFX_NO_COL && k < self->conf->n_group; k++) {
        hold(self, self->key_col + k);
        self->group_keys[k] = self->key_col + k;
    }
    return self->n_held < EFX_LOG_COLS_MAX
               ? EFX_OK
               : EFX_FAIL(err, EFX_ELIMIT, EFX_KIND_USER, 0,
                          "a window would hold more than %d columns", EFX_LOG_COLS_MAX - 1);
}

static uint32_t group_of_id(void *arg, uint32_t id)
{
    return efx_keyed_group(((const struct op_select *)arg)->groups, id);
}

static uint32_t ordinal_of_id(void *arg, uint32_t id)
{
    return efx_keyed_ordinal(((const struct op_select *)arg)->groups, id);
}

static enum efx_rc schema_make(struct op_select *self, struct efx_arena *arena)
{
    uint32_t n = self->conf->in.n_cols;
    struct efx_schema_col *cols = EFX_NEW_N(arena, struct efx_schema_col, n + 1);
    if (cols == NULL) {
        return EFX_ENOMEM;
    }
    for (uint32_t c = 0; c < n; c++) {
        cols[c] = (struct efx_schema_col){.name = "", .type = self->conf->in.types[c]};
    }
    self->schema = (struct efx_schema){.name = "", .n_cols = n, .cols = cols};
    return EFX_OK;
}

static enum efx_rc window_open(struct op_select *self, const struct efx_op_open *how,
                               const struct efx_window_vt *vt, struct efx_err *err)
{
    bool by_id = self->groups_conf.ordinals;
    bool by_kg = !self->partitioned && self->conf->n_group > 0;
    struct efx_window *window = efx_arena_alloc(how->arena, 1, vt->base.self_bytes, EFX_CACHE_LINE);
    if (window == NULL) {
        return EFX_ENOMEM;
    }
    EFX_RET(schema_make(self, how->arena));
    window->vt = vt;
    self->refs = (struct efx_log_refs){group_of_id, ordinal_of_id, self};
    struct efx_window_open open = {
        .conf = self->conf->window_conf,
        .schema = &self->schema,
        .types = self->wide_types,
        .n_cols = self->n_wide,
        .held = {self->n_held, self->held},
        .copy_col = self->partitioned ? self->conf->in.n_cols : EFX_NO_COL,
        .group_col = self->id_col,
        .refs = by_id ? &self->refs : NULL,
        .ids = by_id ? &self->ids : NULL,
        .group_keys = {self->key_col != EFX_NO_COL ? self->conf->n_group : 0, self->group_keys},
        .key_group = self->base.key_group,
        .rank = how->rank,
        .kg = by_kg ? &self->kg : NULL,
        .want_expired = self->conf->expired,
        .no_content = true,
        .eager = self->mode == SELECT_EAGER,
        .by_row = self->by_row,
        .mem = how->mem,
        .ctx = how->ctx,
    };
    self->window = window; /* closed even if it could not be opened whole */
    return vt->open(window, &open, err);
}

static enum efx_rc parts_make(struct op_select *self, const struct efx_op_open *how,
                              struct efx_err *err)
{
    const struct efx_window_vt *vt = mode_choose(self);
    EFX_RET(wide_make(self, how->arena));
    self->pairs = takes_pairs(self);
    self->count_agg = count_agg(self);
    EFX_RET(keeps_make(self, how->arena));
    EFX_RET(table_make(self, how, err));
    EFX_RET(lists_make(self, how));
    EFX_RET(held_make(self, how->arena, err));
    return vt != NULL ? window_open(self, how, vt, err) : EFX_OK;
}

enum efx_rc efx_op_select_create(const struct efx_op_open *how, const struct efx_select_conf *conf,
                                 struct efx_op **out, struct efx_err *err)
{
    struct op_select *self = efx_arena_alloc(how->arena, 1, sizeof *self, EFX_CACHE_LINE);
    if (self == NULL) {
        return EFX_ENOMEM;
    }
    EFX_RET(efx_op_init(&self->base, &select_vt, how));
    self->conf = conf;
    self->mem = how->mem;
    self->kg = how->kg;
    self->by_row = how->by_row;
    self->ids.mem = how->mem;
    self->partitioned = conf->in.partitioned;
    self->n_in = conf->in.n_cols + (self->partitioned ? 2 : 0);
    enum efx_rc rc = parts_make(self, how, err);
    if (rc != EFX_OK) {
        select_close(&self->base);
        return rc;
    }
    *out = &self->base;
    return EFX_OK;
}
