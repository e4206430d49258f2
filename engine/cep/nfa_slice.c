/* What is known of a slice's rows before any partial is asked.
 *
 *   pre(e2)    ██·█··██   event-only conjuncts: bitmaps
 *   NULL key   ·····█·█   an equation with NULL is met by nobody
 *   cand(e2)   ██·█··█·
 *   visit      union over the elements of this stream: rows in no cand are not even looked at
 *
 * Values and hashes are computed for rows of `visit` only, at the batch's positions.
 */
#include "nfa_run.h"

static uint32_t first_word(const struct efx_rows *in)
{
    return in->from / 64;
}

static uint64_t *words(struct efx_ctx *ctx, const struct efx_rows *in)
{
    return efx_scratch_zero(ctx, (size_t)efx_words(in->until) * sizeof(uint64_t));
}

/* Bitmaps of the conjuncts that mention the candidate only; *visit is their union. */
static bool candidates(struct efx_nfa_run *r, struct efx_nfa_slice *s)
{
    const struct efx_nfa *nfa = r->nfa;
    uint64_t any = 0;
    for (uint32_t k = 0; k < s->input->n_elems; k++) {
        uint32_t q = s->input->elems[k];
        const struct efx_nfa_elem *e = &nfa->elems[q];
        uint64_t *cand = words(r->ctx, s->in);
        s->cand[q] = cand;
        if (e->pre != NULL) {
            efx_expr_filter(e->pre, r->ctx, s->step, s->in, cand, s->fails);
        }
        for (uint32_t w = first_word(s->in); w < efx_words(s->in->until); w++) {
            cand[w] = e->pre != NULL ? cand[w] : efx_rows_word(s->in, w);
            s->visit[w] |= cand[w];
            any |= cand[w];
        }
    }
    for (uint32_t w = first_word(s->in); nfa->stubs && w < efx_words(s->in->until); w++) {
        s->visit[w] = efx_rows_word(s->in, w); /* every event of a key counts */
        any |= s->visit[w];
    }
    return any != 0;
}

static void values(struct efx_nfa_run *r, struct efx_nfa_slice *s)
{
    const struct efx_batch *b = s->in->b;
    struct efx_batch seen = *b;
    seen.sel = s->visit;
    struct efx_rows rows = {.b = &seen, .from = s->in->from, .until = s->in->until};
    for (uint32_t i = 0; i < s->input->n_vals; i++) {
        const struct efx_nfa_val *v = &s->input->vals[i];
        s->val_fails[i].any = false;
        if (v->expr == NULL) {
            s->vals[i] = (struct efx_col){.type = EFX_TYPE_LONG, .data = b->ts_ms};
        } else if (efx_expr_col(v->expr) != EFX_NO_COL) {
            s->vals[i] = b->cols[efx_expr_col(v->expr)];
        } else if (!v->can_fail) {
            efx_expr_eval(v->expr, r->ctx, s->step, &rows, &s->vals[i], s->fails);
        } else {
            s->val_fails[i] = (struct efx_fails){
                .failed = words(r->ctx, s->in),
                .code = efx_scratch(r->ctx, (size_t)s->in->until * sizeof(uint16_t)),
            };
            efx_expr_eval(v->expr, r->ctx, s->step, &rows, &s->vals[i], &s->val_fails[i]);
        }
    }
}

static void clear_null(const struct efx_nfa_slice *s, const struct efx_nfa_cmp *m, uint64_t *bits)
{
    const uint64_t *valid = s->vals[m->val].valid;
    for (uint32_t w = first_word(s->in); valid != NULL && w < efx_words(s->in->until); w++) {
        bits[w] &= valid[w];
    }
}

/* Rows whose key or equated value is NULL drop out; what is left is the list of rows to look at. */
static void settle(struct efx_nfa_run *r, struct efx_nfa_slice *s)
{
    const struct efx_nfa *nfa = r->nfa;
    for (uint32_t k = 0; k < nfa->n_keys; k++) {
        clear_null(s, &s->input->keys[k], s->visit);
    }
    uint64_t *left = nfa->stubs ? NULL : words(r->ctx, s->in);
    for (uint32_t k = 0; k < s->input->n_elems; k++) {
        uint32_t q = s->input->elems[k];
        const struct efx_nfa_elem *e = &nfa->elems[q];
        for (uint32_t i = 0; i < e->n_corr; i++) {
            clear_null(s, &e->cmps[nfa->n_keys + i], s->cand[q]);
        }
        for (uint32_t w = first_word(s->in); w < efx_words(s->in->until); w++) {
            s->cand[q][w] &= s->visit[w];
            s->starts[w] |= e->starts ? s->cand[q][w] : 0;
            if (left != NULL) {
                left[w] |= s->cand[q][w];
            }
        }
    }
    s->visit = left != NULL ? left : s->visit;
    struct efx_batch seen = *s->in->b;
    seen.sel = s->visit;
    struct efx_rows rows = {.b = &seen, .from = s->in->from, .until = s->in->until};
    s->at = efx_scratch(r->ctx, (size_t)(s->in->until - s->in->from + 64) * sizeof *s->at);
    s->n = efx_rows_list(&rows, s->at);
}

static bool same_rows(const struct efx_nfa_slice *s, const uint64_t *cand)
{
    uint64_t other = 0;
    for (uint32_t w = first_word(s->in); w < efx_words(s->in->until); w++) {
        other |= cand[w] ^ s->visit[w];
    }
    return other == 0;
}

static uint64_t *hashes(struct efx_nfa_run *r, const struct efx_nfa_slice *s,
                        const struct efx_nfa_cmp *cmps, uint32_t n, const uint64_t *cand)
{
    uint64_t *hash = efx_scratch(r->ctx, (size_t)s->in->until * sizeof *hash);
    const uint32_t *at = s->at;
    uint32_t n_at = s->n;
    if (n == 0) {
        for (uint32_t i = 0; i < n_at; i++) {
            hash[at[i]] = 0;
        }
        return hash;
    }
    uint32_t *some = NULL;
    if (n_at > 8 && !same_rows(s, cand)) { /* most rows may be none of this element's */
        struct efx_batch seen = *s->in->b;
        seen.sel = cand;
        struct efx_rows rows = {.b = &seen, .from = s->in->from, .until = s->in->until};
        some = efx_scratch(r->ctx, (size_t)(s->in->until - s->in->from + 64) * sizeof *some);
        n_at = efx_rows_list(&rows, some);
        at = some;
    }
    for (uint32_t k = 0; k < n; k++) {
        efx_nfa__hash_col(hash, k == 0, &s->vals[cmps[k].val], at, n_at);
    }
    return hash;
}

static bool nobody_waits(const struct efx_nfa_run *r, const struct efx_nfa_slice *s)
{
    uint64_t any = 0;
    for (uint32_t w = first_word(s->in); w < efx_words(s->in->until); w++) {
        any |= s->starts[w];
    }
    return any == 0 && r->pool.n_live == 0 && !r->nfa->stubs;
}

void efx_nfa__slice(struct efx_nfa_run *r, uint32_t input, const struct efx_step *step,
                    const struct efx_rows *in, struct efx_nfa_slice *s)
{
    const struct efx_nfa *nfa = r->nfa;
    struct efx_ctx *ctx = r->ctx;
    s->step = step;
    s->in = in;
    s->input = &nfa->inputs[input];
    s->n = 0;
    s->vals = efx_scratch(ctx, (size_t)s->input->n_vals * sizeof *s->vals);
    s->val_fails = efx_scratch(ctx, (size_t)s->input->n_vals * sizeof *s->val_fails);
    s->cand = efx_scratch_zero(ctx, (size_t)nfa->n_elems * sizeof *s->cand);
    s->hash = efx_scratch_zero(ctx, ((size_t)nfa->n_elems + 1) * sizeof *s->hash);
    s->look = efx_scratch(ctx, (size_t)s->input->n_elems * sizeof *s->look);
    s->n_looks = 0;
    s->cursor = efx_scratch(ctx, (size_t)s->input->n_elems * sizeof *s->cursor);
    s->cursor_elem = efx_scratch(ctx, (size_t)s->input->n_elems * sizeof *s->cursor_elem);
    s->starts = words(ctx, in);
    s->visit = words(ctx, in);
    if (!candidates(r, s)) {
        return;
    }
    values(r, s);
    settle(r, s);
    if (nobody_waits(r, s)) {
        s->n = 0;
        return;
    }
    for (uint32_t k = 0; k < s->input->n_elems; k++) {
        uint32_t q = s->input->elems[k];
        const struct efx_nfa_elem *e = &nfa->elems[q];
        if (e->waits) {
            s->hash[q] = hashes(r, s, e->cmps, nfa->n_keys + e->n_corr, s->cand[q]);
            s->look[s->n_looks++] = (struct efx_nfa_look){.cand = s->cand[q],
                                                          .hash = s->hash[q],
                                                          .wait = &r->pool.wait[q],
                                                          .q = q,
                                                          .all = same_rows(s, s->cand[q])};
        }
    }
    if (nfa->gate) {
        s->hash[nfa->n_elems] = hashes(r, s, s->input->keys, nfa->n_keys, s->visit);
    }
}
