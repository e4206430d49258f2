/* Filters: each conjunct finds its cheapest form.
 *
 *   conjunct                       mentions           becomes
 *   price > 9                      candidate          pre
 *   bidder = e1.bidder             candidate, e1      cmp; e1 uncounted: equation of the wait list
 *   price * 2 < e1.price + 1       candidate, e1      cmp: value price * 2, slot e1.price + 1
 *   v >= e2[last].v                candidate, e2[…]   cmp
 *   e2[last].v IS NULL OR v > 3    mixed              gen
 *   sum(e1.v) < v                  aggregate          gen
 *
 * An equation must not change while a partial waits, so it has to be with an event bound before the
 * element that leads here: one of an uncounted element.
 */
#include "nfa_compile.h"

void *efx_nfa__grow(struct efx_arena *arena, void *items, uint32_t n, size_t bytes)
{
    if (n >= 4 && (n & (n - 1)) != 0) {
        return items; /* there is room up to the next power of two */
    }
    if (n != 0 && n < 4) {
        return items;
    }
    void *more = efx_arena_alloc(arena, n == 0 ? 4 : (size_t)n * 2, bytes, 16);
    if (more != NULL && n != 0) {
        memcpy(more, items, n * bytes);
    }
    return more;
}

static const struct efx_table_probe *probe_of(void *arg, const struct efx_bx *ref)
{
    struct efx_nfa_compiler *c = arg;
    struct efx_table_probe *p = EFX_NEW(c->arena, struct efx_table_probe);
    if (p == NULL) {
        c->failed = true;
        return NULL;
    }
    p->table = ref->table->id;
    p->col = ref->col;
    return p;
}

/* Columns of an expression over the candidate alone are those of the input's batch. */
static uint32_t candidate_col(void *arg, const struct efx_bx *ref)
{
    (void)arg;
    return ref->op == EFX_BX_COL && ref->src == EFX_BX_SRC_CANDIDATE ? ref->col : EFX_NO_COL;
}

static enum efx_rc compile_candidate(struct efx_nfa_compiler *c, const struct efx_bx *bx,
                                     const struct efx_expr **out)
{
    const struct efx_bx *own = efx_nfa__localise(c->arena, bx); /* timestamps of their own */
    struct efx_expr_map map = {.col = candidate_col, .arg = c, .table = probe_of};
    return own == NULL ? EFX_ENOMEM : efx_expr_compile(c->arena, own, &map, out);
}

uint32_t efx_nfa__val(struct efx_nfa_compiler *c, uint32_t input, const struct efx_bx *bx,
                      bool may_fail)
{
    struct efx_nfa_input *in = &c->nfa->inputs[input];
    for (uint32_t i = 0; i < in->n_vals; i++) {
        const struct efx_bx *has = in->vals[i].bx;
        if (bx == NULL ? has == NULL : has != NULL && efx_nfa__same(has, bx)) {
            return i;
        }
    }
    struct efx_nfa_val v = {.bx = bx, .type = bx == NULL ? EFX_TYPE_LONG : bx->type};
    if (bx != NULL) {
        if (compile_candidate(c, bx, &v.expr) != EFX_OK) {
            c->failed = true;
            return EFX_NFA_NO;
        }
        v.can_fail = efx_expr_can_fail(v.expr);
        if (v.can_fail && !may_fail) {
            return EFX_NFA_NO;
        }
    }
    in->vals = efx_nfa__grow(c->arena, in->vals, in->n_vals, sizeof *in->vals);
    if (in->vals == NULL) {
        c->failed = true;
        return EFX_NFA_NO;
    }
    in->vals[in->n_vals] = v;
    return in->n_vals++;
}

uint32_t efx_nfa__slot(struct efx_nfa_compiler *c, const struct efx_nfa_slot *like)
{
    struct efx_nfa *nfa = c->nfa;
    struct efx_nfa_slot s = *like;
    for (uint32_t i = 0; i < nfa->n_slots; i++) {
        const struct efx_nfa_slot *has = &nfa->slots[i];
        if (has->elem == s.elem && s.elem != EFX_NFA_NO && has->last == s.last && has->n == s.n &&
            has->val == s.val) {
            return i;
        }
    }
    if (s.last && s.n > 0) {
        struct efx_nfa_slot before = s;
        before.n--;
        s.from = efx_nfa__slot(c, &before);
        if (s.from == EFX_NFA_NO) {
            return EFX_NFA_NO;
        }
    }
    nfa->slots = efx_nfa__grow(c->arena, nfa->slots, nfa->n_slots, sizeof *nfa->slots);
    if (nfa->slots == NULL) {
        c->failed = true;
        return EFX_NFA_NO;
    }
    nfa->has_texts = nfa->has_texts || efx_type_is_cell(s.type);
    nfa->slots[nfa->n_slots] = s;
    return nfa->n_slots++;
}

/* A slot for an operand that mentions one bound event only. */
static uint32_t slot_of(struct efx_nfa_compiler *c, const struct efx_bx *bx,
                        const struct efx_nfa_mention *m)
{
    const struct efx_bx *own = NULL;
    if (bx->op != EFX_BX_EVENT_TS) {
        own = efx_nfa__localise(c->arena, bx);
        if (own == NULL) {
            c->failed = true;
            return EFX_NFA_NO;
        }
    }
    uint32_t val = efx_nfa__val(c, c->input_of[m->src], own, false);
    if (val == EFX_NFA_NO) {
        return EFX_NFA_NO;
    }
    return efx_nfa__slot(c, &(struct efx_nfa_slot){.type = bx->type,
                                                   .elem = m->src,
                                                   .last = m->last,
                                                   .n = m->n,
                                                   .val = val,
                                                   .from = EFX_NFA_NO});
}

static uint32_t agg_of(struct efx_nfa_compiler *c, const struct efx_bx *bx)
{
    struct efx_nfa *nfa = c->nfa;
    const struct efx_bagg *b = bx->elem_agg;
    for (uint32_t i = 0; i < nfa->n_aggs; i++) {
        if (nfa->aggs[i].bagg == b && nfa->aggs[i].elem == bx->src) {
            return i;
        }
    }
    struct efx_nfa_agg a = {.vt = b->vt->running != NULL ? b->vt->running : b->vt,
                            .bagg = b,
                            .elem = bx->src,
                            .arg = EFX_NFA_NO,
                            .filter = EFX_NFA_NO};
    if (b->arg != NULL) {
        a.arg = efx_nfa__val(c, c->input_of[bx->src], b->arg, true);
    }
    if (b->filter != NULL) {
        a.filter = efx_nfa__val(c, c->input_of[bx->src], b->filter, true);
    }
    nfa->aggs = efx_nfa__grow(c->arena, nfa->aggs, nfa->n_aggs, sizeof *nfa->aggs);
    if (c->failed || nfa->aggs == NULL) {
        c->failed = true;
        return EFX_NFA_NO;
    }
    nfa->aggs[nfa->n_aggs] = a;
    return nfa->n_aggs++;
}

enum efx_rc efx_nfa__ref(struct efx_nfa_compiler *c, const struct efx_bx *bx,
                         struct efx_nfa_ref *out)
{
    *out = (struct efx_nfa_ref){.kind = EFX_NFA_REF_SLOT, .type = bx->type};
    if (bx->op == EFX_BX_IS_BOUND) {
        out->kind = EFX_NFA_REF_BOUND;
        out->n = bx->src;
        return EFX_OK;
    }
    if (bx->op == EFX_BX_ELEM_AGG) {
        out->kind = EFX_NFA_REF_AGG;
        out->n = agg_of(c, bx);
    } else if (bx->op == EFX_BX_COL && bx->src == EFX_BX_SRC_KEY) {
        out->n = bx->col + (c->conf->partitioned ? 1 : 0);
        return EFX_OK;
    } else {
        struct efx_nfa_mention m = {.cand = false};
        efx_nfa__mention(bx, c->pattern, &m);
        if (!m.elem) {
            return EFX_EBUG; /* a reference that patterns do not have */
        }
        out->n = slot_of(c, bx, &m);
    }
    return out->n == EFX_NFA_NO ? EFX_ENOMEM : EFX_OK;
}

/* Column of the one-row batch of a gen. */
static uint32_t gen_col(void *arg, const struct efx_bx *ref)
{
    struct efx_nfa_compiler *c = arg;
    struct efx_nfa_gen *g = c->gen;
    struct efx_nfa_ref r = {.kind = EFX_NFA_REF_CANDIDATE, .type = ref->type, .n = ref->col};
    if (ref->op == EFX_BX_EVENT_TS && ref->src == EFX_BX_SRC_CANDIDATE) {
        r.kind = EFX_NFA_REF_TS;
    } else if (ref->op != EFX_BX_COL || ref->src != EFX_BX_SRC_CANDIDATE) {
        if (efx_nfa__ref(c, ref, &r) != EFX_OK) {
            c->failed = true;
            return EFX_NO_COL;
        }
    }
    for (uint32_t i = 0; i < g->n_refs; i++) {
        if (g->refs[i].kind == r.kind && g->refs[i].n == r.n && g->refs[i].type == r.type) {
            return i;
        }
    }
    g->refs = efx_nfa__grow(c->arena, g->refs, g->n_refs, sizeof *g->refs);
    if (g->refs == NULL) {
        c->failed = true;
        return EFX_NO_COL;
    }
    g->refs[g->n_refs] = r;
    return g->n_refs++;
}

static enum efx_rc compile_gen(struct efx_nfa_compiler *c, const struct efx_bx *bx,
                               struct efx_nfa_gen *out)
{
    *out = (struct efx_nfa_gen){.n_refs = 0};
    c->gen = out;
    struct efx_expr_map map = {.col = gen_col, .arg = c, .table = probe_of};
    EFX_RET(efx_expr_compile(c->arena, bx, &map, &out->expr));
    if (out->n_refs > c->nfa->n_refs_max) {
        c->nfa->n_refs_max = out->n_refs;
    }
    return c->failed ? EFX_ENOMEM : EFX_OK;
}

static uint32_t any_col(void *arg, const struct efx_bx *ref)
{
    (void)arg;
    (void)ref;
    return 0;
}

/* Asked of a throw-away form, which may look anywhere. */
static enum efx_rc filter_can_fail(struct efx_nfa_compiler *c, const struct efx_bx *filter,
                                   bool *can_fail)
{
    const struct efx_expr *whole;
    struct efx_expr_map map = {.col = any_col, .arg = c, .table = probe_of};
    EFX_RET(efx_expr_compile(c->arena, filter, &map, &whole));
    *can_fail = efx_expr_can_fail(whole);
    return EFX_OK;
}

static enum efx_bx_op mirrored(enum efx_bx_op op)
{
    static const uint8_t other[] = {
        [EFX_BX_EQ] = EFX_BX_EQ, [EFX_BX_NE] = EFX_BX_NE, [EFX_BX_LT] = EFX_BX_GT,
        [EFX_BX_LE] = EFX_BX_GE, [EFX_BX_GT] = EFX_BX_LT, [EFX_BX_GE] = EFX_BX_LE};
    return (enum efx_bx_op)other[op];
}

static bool comparable(enum efx_type a, enum efx_type b)
{
    if (a == b) {
        return a != EFX_TYPE_OBJECT && a != EFX_TYPE_NONE;
    }
    return (a == EFX_TYPE_LONG && b == EFX_TYPE_DOUBLE) ||
           (a == EFX_TYPE_DOUBLE && b == EFX_TYPE_LONG);
}

/* Is the conjunct value OP slot? */
static bool as_cmp(struct efx_nfa_compiler *c, uint32_t q, const struct efx_bx *bx,
                   struct efx_nfa_cmp *out)
{
    if (bx->op < EFX_BX_EQ || bx->op > EFX_BX_GE) {
        return false;
    }
    struct efx_nfa_mention m[2] = {{.cand = false}, {.cand = false}};
    efx_nfa__mention(bx->args[0], c->pattern, &m[0]);
    efx_nfa__mention(bx->args[1], c->pattern, &m[1]);
    uint32_t s = m[1].elem ? 1 : 0; /* the side of the slot */
    if (!m[s].elem || m[s].cand || m[s].mixed || m[1 - s].elem) {
        return false;
    }
    const struct efx_bx *row = bx->args[1 - s], *bound = bx->args[s];
    if (!comparable(row->type, bound->type)) {
        return false;
    }
    out->slot = slot_of(c, bound, &m[s]);
    out->val =
        out->slot == EFX_NFA_NO ? EFX_NFA_NO : efx_nfa__val(c, c->nfa->elems[q].input, row, false);
    out->op = s == 1 ? bx->op : mirrored(bx->op);
    out->val_type = row->type;
    out->slot_type = bound->type;
    return out->val != EFX_NFA_NO;
}

static bool is_equation(const struct efx_nfa_compiler *c, uint32_t q, const struct efx_nfa_cmp *m)
{
    uint32_t elem = c->nfa->slots[m->slot].elem;
    return m->op == EFX_BX_EQ && m->val_type == m->slot_type && elem < q &&
           !c->pattern->elems[elem].counted;
}

/* Equations stand in front of the other comparisons, behind the machine's keys. */
static enum efx_rc add_cmp(struct efx_nfa_compiler *c, uint32_t q, const struct efx_nfa_cmp *m)
{
    struct efx_nfa_elem *e = &c->nfa->elems[q];
    e->cmps = efx_nfa__grow(c->arena, e->cmps, e->n_cmps, sizeof *e->cmps);
    if (e->cmps == NULL) {
        return EFX_ENOMEM;
    }
    uint32_t at = e->n_cmps++;
    if (is_equation(c, q, m)) {
        uint32_t to = c->nfa->n_keys + e->n_corr++;
        e->cmps[at] = e->cmps[to];
        at = to;
    }
    e->cmps[at] = efx_nfa_cmp_of(*m);
    return EFX_OK;
}

static const struct efx_bx *all_of(struct efx_arena *arena, const struct efx_bx **parts, uint32_t n)
{
    if (n <= 1) {
        return n == 0 ? NULL : parts[0];
    }
    struct efx_bx *and = EFX_NEW(arena, struct efx_bx);
    struct efx_bx **args = EFX_NEW_N(arena, struct efx_bx *, n);
    if (and == NULL || args == NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < n; i++) {
        memcpy(&args[i], &parts[i], sizeof args[i]); /* the tree is not const, we only read it */
    }
    *and = (struct efx_bx){.op = EFX_BX_AND, .type = EFX_TYPE_BOOL, .n_args = n, .args = args};
    return and;
}

enum efx_rc efx_nfa__filter(struct efx_nfa_compiler *c, uint32_t q, const struct efx_bx *filter)
{
    struct efx_nfa_elem *e = &c->nfa->elems[q];
    if (filter == NULL) {
        return EFX_OK;
    }
    bool can_fail;
    EFX_RET(filter_can_fail(c, filter, &can_fail));
    if (can_fail) {
        return compile_gen(c, filter, &e->gen);
    }
    uint32_t n = efx_nfa__conjuncts(filter, NULL, 0), n_pre = 0, n_gen = 0;
    const struct efx_bx **parts = EFX_NEW_N(c->arena, const struct efx_bx *, (size_t)n * 3);
    if (parts == NULL) {
        return EFX_ENOMEM;
    }
    efx_nfa__conjuncts(filter, parts, n);
    const struct efx_bx **pre = parts + n, **gen = pre + n;
    for (uint32_t i = 0; i < n; i++) {
        struct efx_nfa_mention m = {.cand = false};
        struct efx_nfa_cmp cmp;
        efx_nfa__mention(parts[i], c->pattern, &m);
        if (!m.elem) {
            pre[n_pre++] = parts[i];
        } else if (as_cmp(c, q, parts[i], &cmp)) {
            EFX_RET(add_cmp(c, q, &cmp));
        } else {
            gen[n_gen++] = parts[i];
        }
    }
    const struct efx_bx *all_pre = all_of(c->arena, pre, n_pre);
    const struct efx_bx *all_gen = all_of(c->arena, gen, n_gen);
    if (c->failed || (n_pre > 0 && all_pre == NULL) || (n_gen > 0 && all_gen == NULL)) {
        return EFX_ENOMEM;
    }
    if (n_pre > 0) {
        EFX_RET(compile_candidate(c, all_pre, &e->pre));
    }
    return n_gen > 0 ? compile_gen(c, all_gen, &e->gen) : EFX_OK;
}
