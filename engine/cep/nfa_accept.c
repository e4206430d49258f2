/* May a partial take a row: steps on single values first, then what needs the expression engine.
 *
 * Every element's comparisons begin with the machine's keys and the equations, whatever the list's
 * hash said: the hash finds, the comparison decides.
 */
#include "nfa_run.h"

#define ORDER(type_, a_, b_)                                                                       \
    ((*(const type_ *)(a_) > *(const type_ *)(b_)) - (*(const type_ *)(a_) < *(const type_ *)(b_)))

static int order_cells(const struct efx_nfa_run *r, const struct efx_cell *a,
                       const struct efx_cell *b)
{
    struct efx_cell bound = *b;
    if (bound.len > EFX_CELL_INLINE) {
        uint32_t ref;
        memcpy(&ref, bound.tail, sizeof ref);
        bound.ptr = efx_heap_at(r->pool.heap, ref);
    }
    if (a->len != bound.len || memcmp(a->head, bound.head, sizeof a->head) != 0) {
        return efx_cell_compare(a, &bound);
    }
    return efx_cell_equal(a, &bound) ? 0 : efx_cell_compare(a, &bound);
}

/* a: slot `row` of a column, b: a partial's. */
static int order_of(const struct efx_nfa_run *r, const struct efx_nfa_cmp *m, const void *a,
                    const void *b)
{
    switch (m->val_type) {
    case EFX_TYPE_INT: return ORDER(int32_t, a, b);
    case EFX_TYPE_LONG:
        return m->slot_type == EFX_TYPE_DOUBLE
                   ? efx_long_double_compare(*(const int64_t *)a, *(const double *)b)
                   : ORDER(int64_t, a, b);
    case EFX_TYPE_FLOAT:
        return efx_double_compare((double)*(const float *)a, (double)*(const float *)b);
    case EFX_TYPE_DOUBLE:
        return m->slot_type == EFX_TYPE_LONG
                   ? -efx_long_double_compare(*(const int64_t *)b, *(const double *)a)
                   : efx_double_compare(*(const double *)a, *(const double *)b);
    case EFX_TYPE_BOOL: return ORDER(uint8_t, a, b);
    case EFX_TYPE_STRING:
    case EFX_TYPE_BYTES:
    case EFX_TYPE_OBJECT:
    case EFX_TYPE_NONE: break;
    }
    return order_cells(r, a, b);
}

static bool meets(const struct efx_nfa_run *r, const struct efx_nfa_slice *s, uint32_t row,
                  struct efx_nfa_partial *p, const struct efx_nfa_cmp *m)
{
    const struct efx_col *v = &s->vals[m->val];
    if (!efx_bit(efx_nfa__valid(r->nfa, p), m->slot) || !efx_bit(v->valid, row)) {
        return false;
    }
    const uint8_t *b = (uint8_t *)p + r->nfa->slots[m->slot].off;
    const uint8_t *a = (const uint8_t *)v->data;
    int order = m->longs ? ORDER(int64_t, a + (size_t)row * 8, b)
                         : order_of(r, m, a + (size_t)row * efx_type_width(m->val_type), b);
    order = order < 0 ? -1 : order > 0 ? 1 : 0;
    return (m->orders >> (order + 1) & 1) != 0;
}

bool efx_nfa__same_machine(const struct efx_nfa_run *r, const struct efx_nfa_slice *s, uint32_t row,
                           uint32_t id)
{
    struct efx_nfa_partial *p = efx_nfa__at(&r->pool, id);
    for (uint32_t k = 0; k < r->nfa->n_keys; k++) {
        if (!meets(r, s, row, p, &s->input->keys[k])) {
            return false;
        }
    }
    return true;
}

static uint16_t agg_value(struct efx_nfa_run *r, uint32_t id, uint32_t agg, void *data,
                          uint32_t row, bool *null)
{
    const struct efx_nfa_agg *a = &r->nfa->aggs[agg];
    struct efx_states at = efx_nfa__states(&r->pool, agg);
    uint64_t value[2] = {0, 0}, valid = 1, failed = 0;
    uint16_t code = 0;
    struct efx_agg_out out = {
        .data = value, .valid = &valid, .fails = {.failed = &failed, .code = &code}};
    enum efx_rc rc = a->vt->emit(&at, &id, 1, &out);
    *null = rc != EFX_OK || (valid & 1) == 0 || failed != 0;
    struct efx_col one = {.type = a->vt->out, .data = value};
    efx_col_copy_slot(data, row, &one, 0);
    return failed != 0 ? code : 0;
}

uint16_t efx_nfa__ref_value(struct efx_nfa_run *r, uint32_t id, const struct efx_nfa_ref *ref,
                            void *data, uint32_t row, bool *null)
{
    switch (ref->kind) {
    case EFX_NFA_REF_SLOT: *null = !efx_nfa__slot_get(&r->pool, id, ref->n, data, row); return 0;
    case EFX_NFA_REF_AGG: return agg_value(r, id, ref->n, data, row, null);
    case EFX_NFA_REF_BOUND:
        ((uint8_t *)data)[row] = efx_bit(efx_nfa__bound(r->nfa, efx_nfa__at(&r->pool, id)), ref->n);
        *null = false;
        return 0;
    case EFX_NFA_REF_CANDIDATE:
    case EFX_NFA_REF_TS: break; /* a filter's own, see gen_row */
    }
    *null = true;
    return 0;
}

static uint16_t out_value(struct efx_nfa_run *r, uint32_t id, const struct efx_nfa_ref *ref,
                          void *data, uint64_t *valid, uint32_t row)
{
    bool null;
    uint16_t code = efx_nfa__ref_value(r, id, ref, data, row, &null);
    uint32_t width = efx_type_width(ref->type);
    efx_bit_put(valid, row, !null);
    if (null) {
        memset((uint8_t *)data + (size_t)row * width, 0, width);
    } else if (efx_type_is_cell(ref->type)) {
        struct efx_cell *c = (struct efx_cell *)data + row;
        if (c->len > EFX_CELL_INLINE) { /* the partial goes before the row does */
            *c = efx_ctx_cell(r->ctx, c->ptr, c->len);
        }
    }
    return code;
}

uint16_t efx_nfa_run_outs(struct efx_nfa_run *r, uint32_t id, void *const *data,
                          uint64_t *const *valid, uint32_t row)
{
    const struct efx_nfa *nfa = r->nfa;
    struct efx_nfa_partial *p = efx_nfa__at(&r->pool, id);
    const uint64_t *has = efx_nfa__valid(nfa, p);
    for (uint32_t k = 0; k < nfa->n_outs + nfa->n_hidden_outs; k++) {
        const struct efx_nfa_ref *ref = &nfa->outs[k];
        if (ref->kind == EFX_NFA_REF_SLOT && efx_type_width(ref->type) == 8) {
            memcpy((uint64_t *)data[k] + row, (uint8_t *)p + nfa->slots[ref->n].off, 8);
            efx_bit_put(valid[k], row, efx_bit(has, ref->n));
            continue;
        }
        uint16_t code = out_value(r, id, ref, data[k], valid[k], row);
        if (code != 0) {
            return code;
        }
    }
    return 0;
}

/* Column k of the one-row batch. */
static uint16_t gen_value(struct efx_nfa_run *r, const struct efx_nfa_slice *s, uint32_t row,
                          uint32_t id, const struct efx_nfa_ref *ref, uint32_t k)
{
    const struct efx_batch *b = s->in->b;
    union {
        const void *data;
        void *to;
    } cell = {.data = r->gen_cols[k].data};
    bool null = false;
    uint16_t code = 0;
    if (ref->kind == EFX_NFA_REF_CANDIDATE) {
        null = !efx_bit(b->cols[ref->n].valid, row);
        if (!null) {
            efx_col_copy_slot(cell.to, 0, &b->cols[ref->n], row);
        }
    } else if (ref->kind == EFX_NFA_REF_TS) {
        memcpy(cell.to, &b->ts_ms[row], sizeof b->ts_ms[row]);
    } else {
        code = efx_nfa__ref_value(r, id, ref, cell.to, 0, &null);
    }
    if (null) {
        memset(cell.to, 0, 16);
    }
    r->gen_valid[k] = null ? 0 : 1;
    r->gen_cols[k].type = ref->type;
    r->gen_cols[k].valid = null ? &r->gen_valid[k] : NULL;
    return code;
}

static bool gen_holds(struct efx_nfa_run *r, const struct efx_nfa_slice *s, uint32_t row,
                      uint32_t id, const struct efx_nfa_gen *g)
{
    const struct efx_batch *b = s->in->b;
    int64_t clk_ms = efx_batch_clk_ms(b, row);
    for (uint32_t k = 0; k < g->n_refs; k++) {
        uint16_t code = gen_value(r, s, row, id, &g->refs[k], k);
        if (code != 0) {
            efx_fail_row(s->fails, row, code);
            return false;
        }
    }
    struct efx_batch one = {
        .n_rows = 1,
        .n_cols = g->n_refs,
        .cols = r->gen_cols,
        .ts_ms = &b->ts_ms[row],
        .clk_ms = &clk_ms,
        .moment = b->moment != NULL ? &b->moment[row] : NULL,
    };
    struct efx_rows rows = efx_rows_all(&one);
    struct efx_ctx_mark mark = efx_ctx_begin(r->ctx);
    uint64_t *yes = efx_scratch_zero(r->ctx, sizeof *yes);
    struct efx_fails fails = {.failed = efx_scratch_zero(r->ctx, sizeof(uint64_t)),
                              .code = efx_scratch(r->ctx, sizeof(uint16_t))};
    efx_expr_filter(g->expr, r->ctx, s->step, &rows, yes, &fails);
    bool holds_ = (*yes & 1) != 0;
    if (fails.any) {
        efx_fail_row(s->fails, row, fails.code[0]);
        holds_ = false;
    }
    efx_ctx_end(r->ctx, mark);
    return holds_;
}

bool efx_nfa__accepts(struct efx_nfa_run *r, const struct efx_nfa_slice *s, uint32_t row,
                      uint32_t id, uint32_t q)
{
    const struct efx_nfa_elem *e = &r->nfa->elems[q];
    struct efx_nfa_partial *p = efx_nfa__at(&r->pool, id);
    for (uint32_t i = p->state == EFX_NFA_BLANK ? r->nfa->n_keys : 0; i < e->n_cmps; i++) {
        if (!meets(r, s, row, p, &e->cmps[i])) {
            return false;
        }
    }
    return e->gen.expr == NULL || gen_holds(r, s, row, id, &e->gen);
}
