/* A table in memory. Every statement that writes or reads it is an inlet with an outlet of its own;
 * a read is a row passing through.
 *
 *   INSERT ─► in 0 ┐           ┌ (nothing)
 *   UPSERT ─► in 1 ┼─ table ───┼ (nothing)          rows that fail leave by the error edge of
 *   LOOKUP ─► in 2 ┘           └ out 2: row ++ table columns          their statement's outlet
 *
 * Rows come in the order in which they take effect, as runs of one inlet; a run is worked through
 * in passes over its columns, and the result is that of one row after the other.
 *
 *   table_rows.c    slabs, texts, compaction        table_index.c   keys to rows
 *   table_match.c   which rows a row is about       table_write.c   UPDATE, DELETE
 *   table_upsert.c  INSERT, UPSERT                  table_read.c    LOOKUP, IN, EXISTS
 *   table_save.c    checkpoints
 *
 *   Order    rows of the table in insertion order, an update keeps the place
 *   Errors   EFX_ENOMEM; data errors of rows by the error edges
 *   Limits   see table.h
 */
#include "table.h"

/* ---- rows ---- */

static enum efx_rc push_failed(struct table_slice *s, const struct efx_outlet *out)
{
    struct op_table *t = s->t;
    if (!s->fails.any) {
        return EFX_OK;
    }
    struct efx_batch bad = *s->in.b;
    bad.sel = s->fails.failed;
    bad.code = s->fails.code;
    struct efx_rows rows = {&bad, s->in.from, s->in.until};
    t->base.n_rows_failed += efx_rows_count(&rows);
    return efx_edge_push(&out->errors, s->step, &rows);
}

static enum efx_rc run(struct op_table *t, uint32_t inlet, const struct efx_step *step,
                       const struct efx_rows *in)
{
    const struct table_port *port = &t->port[inlet];
    const struct efx_outlet *out = &t->base.out[inlet];
    struct table_slice s;
    efx_table__step_begin(t, step);
    efx_table__slice_init(&s, t, port, step, in);
    if (s.n == 0) {
        return EFX_OK;
    }
    t->base.n_rows_in += s.n;
    switch (port->conf->kind) {
    case EFX_PORT_INSERT:
    case EFX_PORT_UPSERT: EFX_RET(efx_table__put(&s, false)); break;
    case EFX_PORT_UPDATE:
    case EFX_PORT_DELETE: EFX_RET(efx_table__write(&s, false)); break;
    case EFX_PORT_LOOKUP: EFX_RET(efx_table__lookup(&s, out)); break;
    }
    return push_failed(&s, out);
}

static enum efx_rc table_rows(struct efx_op *self, uint32_t inlet, const struct efx_step *step,
                              const struct efx_rows *in)
{
    struct efx_ctx_mark mark = efx_ctx_begin(self->ctx);
    enum efx_rc rc = run((struct op_table *)self, inlet, step, in);
    efx_ctx_end(self->ctx, mark);
    return rc;
}

/* ---- on demand ---- */

static enum efx_rc refuse(const struct table_slice *s, struct efx_err *err)
{
    struct efx_batch bad = *s->in.b;
    bad.sel = s->fails.failed;
    struct efx_rows rows = {&bad, s->in.from, s->in.until};
    uint32_t *at = efx_scratch(s->t->base.ctx, (s->in.until + 1) * sizeof *at);
    uint32_t n = efx_rows_list(&rows, at);
    uint16_t code = n > 0 ? s->fails.code[at[0]] : 0;
    return EFX_FAIL(err, EFX_EDATA, EFX_KIND_DATA, code,
                    "row %u cannot be taken: nothing was changed",
                    n > 0 ? at[0] + 1 - s->in.from : 0);
}

static enum efx_rc change(struct op_table *t, const struct table_port *port,
                          const struct efx_step *step, const struct efx_rows *rows,
                          uint64_t *n_changed, struct efx_err *err)
{
    bool puts = port->conf->kind == EFX_PORT_INSERT || port->conf->kind == EFX_PORT_UPSERT;
    struct table_slice s;
    EFX_ASSERT(port->conf->kind != EFX_PORT_LOOKUP);
    efx_table__slice_init(&s, t, port, step, rows);
    EFX_RET(puts ? efx_table__put(&s, true) : efx_table__write(&s, true));
    if (s.fails.any) {
        return refuse(&s, err);
    }
    *n_changed = s.n_changed;
    return EFX_OK;
}

enum efx_rc efx_op_table_change(struct efx_op *table, const struct efx_table_port *conf,
                                const struct efx_step *step, const struct efx_rows *rows,
                                uint64_t *n_changed, struct efx_err *err)
{
    struct op_table *t = (struct op_table *)table;
    struct efx_ctx_mark mark = efx_ctx_begin(t->base.ctx);
    struct table_port port;
    uint32_t n_indexes = t->n_indexes;
    efx_table__step_begin(t, step);
    enum efx_rc rc = efx_table__port_open(t, conf, &port);
    if (rc == EFX_OK) {
        rc = change(t, &port, step, rows, n_changed, err);
    }
    for (uint32_t k = t->n_indexes; k > n_indexes; k--) { /* made for this statement only */
        efx_table__index_drop(t, t->index[k - 1]);
    }
    efx_ctx_end(t->base.ctx, mark);
    return rc;
}

/* ---- the rest of an operator ---- */

static size_t table_bytes(const struct efx_op *self)
{
    const struct op_table *t = (const struct op_table *)self;
    size_t bytes = t->slabs_bytes + efx_heap_bytes(t->heap);
    for (uint32_t k = 0; k < t->n_indexes; k++) {
        const struct table_index *ix = t->index[k];
        size_t n = (size_t)ix->n_max[0] + ix->n_max[1] + ix->n_max[2];
        bytes += efx_keyed_bytes(ix->keyed) + n * sizeof *ix->entry;
    }
    return bytes;
}

static void table_close(struct efx_op *self)
{
    struct op_table *t = (struct op_table *)self;
    while (t->n_indexes > 0) {
        efx_table__index_drop(t, t->index[t->n_indexes - 1]);
    }
    efx_table__loaded_drop(t);
    efx_table__rows_close(t);
    t->mem->free(t->mem, t->index, t->n_indexes_max * sizeof *t->index);
    t->mem->free(t->mem, t->dirty.at, t->dirty.n_max * sizeof *t->dirty.at);
    t->mem->free(t->mem, t->save_dirty.at, t->save_dirty.n_max * sizeof *t->dirty.at);
    t->mem->free(t->mem, t->tombs.at, t->tombs.n_max * sizeof *t->tombs.at);
    t->mem->free(t->mem, t->save_tombs.at, t->save_tombs.n_max * sizeof *t->tombs.at);
}

static const struct efx_op_vt table_vt = {
    .name = "table",
    .rows = table_rows,
    .next_due_ms = efx_op_never_due,
    .finish = efx_op_nothing_due,
    .stop = efx_op_nothing_held,
    .origin_set = efx_op_origin_ignore,
    .schema = 1,
    .mark = efx_table__mark,
    .slice = efx_table__slice_out,
    .load = efx_table__load,
    .load_end = efx_table__load_end,
    .bytes = table_bytes,
    .close = table_close,
};

const struct efx_table_view *efx_op_table_view(const struct efx_op *table)
{
    return &((const struct op_table *)table)->view.base;
}

uint64_t efx_op_table_duplicates(const struct efx_op *table)
{
    return ((const struct op_table *)table)->n_duplicates;
}

/* ---- opening ---- */

static void sort_cols(uint32_t *cols, uint32_t n)
{
    for (uint32_t k = 1; k < n; k++) {
        uint32_t c = cols[k], j = k;
        for (; j > 0 && cols[j - 1] > c; j--) {
            cols[j] = cols[j - 1];
        }
        cols[j] = c;
    }
}

static enum efx_rc key_open(struct op_table *t, const struct efx_bkey *key)
{
    uint32_t cols[EFX_KEYED_CELLS_MAX];
    enum efx_type as[EFX_KEYED_CELLS_MAX];
    EFX_ASSERT(key->cols.n > 0 && key->cols.n <= EFX_KEYED_CELLS_MAX);
    memcpy(cols, key->cols.col, key->cols.n * sizeof *cols);
    sort_cols(cols, key->cols.n);
    for (uint32_t j = 0; j < key->cols.n; j++) {
        as[j] = efx_table__as(t->types[cols[j]], t->types[cols[j]]);
        t->not_null[cols[j]] = t->not_null[cols[j]] || key->primary;
    }
    struct table_index *ix = efx_table__index_find(t, cols, as, key->cols.n);
    if (ix == NULL) {
        EFX_RET(efx_table__index_add(t, cols, as, key->cols.n, &ix));
    }
    ix->primary = ix->primary || key->primary;
    ix->unique = ix->unique || key->unique || key->primary;
    return EFX_OK;
}

static enum efx_rc arrays_make(struct op_table *t, const struct efx_op_open *how)
{
    uint32_t n = t->n_cols + 1;
    t->types = EFX_NEW_N(how->arena, enum efx_type, n);
    t->not_null = EFX_NEW_N(how->arena, bool, n);
    t->any_null = EFX_NEW_N(how->arena, bool, n);
    t->col_at = EFX_NEW_N(how->arena, uint32_t, n);
    t->port = EFX_NEW_N(how->arena, struct table_port, t->conf->n_ports + 1);
    bool all = t->types != NULL && t->not_null != NULL && t->any_null != NULL &&
               t->col_at != NULL && t->port != NULL;
    return all ? EFX_OK : EFX_ENOMEM;
}

static enum efx_rc open_parts(struct op_table *t)
{
    const struct efx_schema *schema = &t->conf->object->schema;
    for (uint32_t c = 0; c < t->n_cols; c++) {
        t->types[c] = schema->cols[c].type;
        t->not_null[c] = schema->cols[c].not_null;
    }
    EFX_RET(efx_table__rows_open(t));
    for (uint32_t k = 0; k < t->conf->object->n_keys; k++) {
        EFX_RET(key_open(t, &t->conf->object->keys[k]));
    }
    for (uint32_t p = 0; p < t->conf->n_ports; p++) {
        EFX_RET(efx_table__port_open(t, &t->conf->ports[p], &t->port[p]));
    }
    return EFX_OK;
}

enum efx_rc efx_op_table_create(const struct efx_op_open *how, const struct efx_table_conf *conf,
                                struct efx_op **out)
{
    struct op_table *t = EFX_NEW(how->arena, struct op_table);
    if (t == NULL) {
        return EFX_ENOMEM;
    }
    EFX_ASSERT(how->n_out >= conf->n_ports);
    EFX_RET(efx_op_init(&t->base, &table_vt, how));
    t->conf = conf;
    t->mem = how->mem;
    t->kg = how->kg;
    bool own = how->kg.first <= how->key_group && how->key_group <= how->kg.last;
    t->key_group = own ? how->key_group : how->kg.first;
    t->n_cols = conf->object->schema.n_cols;
    t->stamp = 1;
    t->view = (struct table_view){{.has = efx_table__has, .scan = efx_table__scan}, t};
    EFX_RET(arrays_make(t, how));
    enum efx_rc rc = open_parts(t);
    if (rc != EFX_OK) {
        table_close(&t->base);
        return rc;
    }
    *out = &t->base;
    return EFX_OK;
}
