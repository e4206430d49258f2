/* Expressions on their way from bound trees to compiled ones: maps, substitution, conjuncts. */
#include "plan.h"

static bool same_ref(const struct efx_bx *a, const struct efx_bx *b)
{
    return a->op == b->op && a->src == b->src && a->col == b->col &&
           a->index.kind == b->index.kind && a->index.n == b->index.n && a->elem_agg == b->elem_agg;
}

static uint32_t pattern_col(const struct plan_env *env, const struct efx_bx *ref)
{
    for (uint32_t j = 0; j < env->n_refs; j++) {
        if (same_ref(env->refs[j], ref)) {
            return j;
        }
    }
    return EFX_NO_COL;
}

static uint32_t env_col(void *arg, const struct efx_bx *ref)
{
    const struct plan_env *env = arg;
    if (ref->op == EFX_BX_AGG) {
        return env->agg == EFX_NO_COL ? EFX_NO_COL : env->agg + ref->col;
    }
    if (ref->op == EFX_BX_COL && ref->src == EFX_BX_SRC_OUT) {
        return env->out == EFX_NO_COL ? EFX_NO_COL : env->out + ref->col;
    }
    switch (env->kind) {
    case PLAN_ENV_SINGLE: return ref->op == EFX_BX_COL ? ref->col : EFX_NO_COL;
    case PLAN_ENV_PAIR:
        if (env->swapped) {
            return ref->src == 1 ? ref->col : env->n_cols - env->n_left + ref->col;
        }
        return ref->src == 0 ? ref->col : env->n_left + ref->col;
    case PLAN_ENV_PATTERN: return pattern_col(env, ref);
    }
    return EFX_NO_COL;
}

const struct efx_expr *efx_plan__compile(struct plan_builder *b, const struct efx_bx *bx,
                                         const struct plan_env *env)
{
    if (bx == NULL || b->rc != EFX_OK) {
        return NULL;
    }
    struct plan_env copy = *env;
    struct efx_expr_map map = {.col = env_col, .arg = &copy};
    const struct efx_expr *out = NULL;
    enum efx_rc rc = efx_expr_compile(b->arena, bx, &map, &out);
    b->rc = b->rc == EFX_OK ? rc : b->rc;
    return out;
}

struct efx_bx *efx_plan__substitute(struct plan_builder *b, const struct efx_bx *bx,
                                    const struct efx_bout *out)
{
    if (bx->op == EFX_BX_COL && bx->src == EFX_BX_SRC_OUT) {
        return out[bx->col].expr;
    }
    struct efx_bx *copy = PLAN_NEW(b, struct efx_bx);
    struct efx_bx **args = PLAN_NEW_N(b, struct efx_bx *, bx->n_args + 1);
    if (copy == NULL || args == NULL) {
        return NULL;
    }
    *copy = *bx;
    copy->args = args;
    for (uint32_t i = 0; i < bx->n_args; i++) {
        args[i] = efx_plan__substitute(b, bx->args[i], out);
    }
    return copy;
}

void efx_plan__visit(const struct efx_bx *bx, plan_visit_fn fn, void *arg)
{
    if (bx == NULL) {
        return;
    }
    fn(arg, bx);
    for (uint32_t i = 0; i < bx->n_args; i++) {
        efx_plan__visit(bx->args[i], fn, arg);
    }
}

static void find_table(void *arg, const struct efx_bx *bx)
{
    bool *found = arg;
    *found = *found || bx->op == EFX_BX_IN_TABLE || bx->op == EFX_BX_EXISTS;
}

static void visit_pattern(const struct efx_bpat *p, plan_visit_fn fn, void *arg)
{
    efx_plan__visit(p->filter, fn, arg);
    for (uint32_t i = 0; i < p->n_kids; i++) {
        visit_pattern(p->kids[i], fn, arg);
    }
}

static void visit_statement(const struct efx_bstmt *s, plan_visit_fn fn, void *arg)
{
    efx_plan__visit(s->on, fn, arg);
    efx_plan__visit(s->where, fn, arg);
    efx_plan__visit(s->having, fn, arg);
    efx_plan__visit(s->upsert_on, fn, arg);
    if (s->pattern != NULL) {
        visit_pattern(s->pattern->root, fn, arg);
    }
    for (uint32_t i = 0; i < s->n_group; i++) {
        efx_plan__visit(s->group[i], fn, arg);
    }
    for (uint32_t i = 0; i < s->n_aggs; i++) {
        efx_plan__visit(s->aggs[i].arg, fn, arg);
        efx_plan__visit(s->aggs[i].filter, fn, arg);
    }
    for (uint32_t i = 0; i < s->n_out; i++) {
        efx_plan__visit(s->out[i].expr, fn, arg);
    }
    for (uint32_t i = 0; i < s->n_order; i++) {
        efx_plan__visit(s->order[i].expr, fn, arg);
    }
    for (uint32_t i = 0; i < s->n_sets; i++) {
        efx_plan__visit(s->sets[i].value, fn, arg);
    }
}

bool efx_plan__reads_table(const struct efx_bstmt *s)
{
    bool found = false;
    visit_statement(s, find_table, &found);
    return found;
}

static bool same_literal(const struct efx_value *a, const struct efx_value *b)
{
    if (a->type != b->type || a->null != b->null) {
        return false;
    }
    return a->null || efx_value_compare(a, b) == 0;
}

bool efx_plan__bx_equal(const struct efx_bx *a, const struct efx_bx *b)
{
    if (a->op != b->op || a->type != b->type || a->n_args != b->n_args || a->func != b->func ||
        a->src != b->src || a->col != b->col || a->escape != b->escape || a->op == EFX_BX_UUID) {
        return false;
    }
    if (a->op == EFX_BX_CONST && !same_literal(&a->lit, &b->lit)) {
        return false;
    }
    for (uint32_t i = 0; i < a->n_args; i++) {
        if (!efx_plan__bx_equal(a->args[i], b->args[i])) {
            return false;
        }
    }
    return true;
}

/* ---- conditions between two sources ---- */

static void sources_of(void *arg, const struct efx_bx *bx)
{
    uint32_t *mask = arg;
    if (bx->op == EFX_BX_COL) {
        *mask |= bx->src == 0 ? 1u : bx->src == 1 ? 2u : 4u;
    } else if (bx->op == EFX_BX_UUID || bx->op == EFX_BX_EXISTS || bx->op == EFX_BX_IN_TABLE ||
               bx->op == EFX_BX_EVENT_TS || bx->op == EFX_BX_NOW) {
        *mask |= 4u;
    }
}

static uint32_t mask_of(const struct efx_bx *bx)
{
    uint32_t mask = 0;
    efx_plan__visit(bx, sources_of, &mask);
    return mask;
}

static void add_rest(struct plan_builder *b, const struct efx_bx *bx, struct plan_match *out)
{
    if (out->rest == NULL) {
        out->rest = PLAN_NEW(b, struct efx_bx);
        if (out->rest != NULL) {
            *out->rest = *bx;
        }
        return;
    }
    struct efx_bx *both = PLAN_NEW(b, struct efx_bx);
    struct efx_bx **args = PLAN_NEW_N(b, struct efx_bx *, 2);
    struct efx_bx *copy = PLAN_NEW(b, struct efx_bx);
    if (both != NULL && args != NULL && copy != NULL) {
        *copy = *bx;
        args[0] = out->rest;
        args[1] = copy;
        *both = (struct efx_bx){
            .op = EFX_BX_AND, .type = EFX_TYPE_BOOL, .at = bx->at, .n_args = 2, .args = args};
        out->rest = both;
    }
}

static void take_apart(struct plan_builder *b, const struct efx_bx *bx, struct plan_match *out)
{
    if (bx->op == EFX_BX_AND) {
        for (uint32_t i = 0; i < bx->n_args; i++) {
            take_apart(b, bx->args[i], out);
        }
        return;
    }
    if (bx->op == EFX_BX_EQ && bx->args[0]->type == bx->args[1]->type) {
        uint32_t left = mask_of(bx->args[0]), right = mask_of(bx->args[1]);
        bool straight = left == 1 && right == 2, crossed = left == 2 && right == 1;
        if (straight || crossed) {
            out->left[out->n_eq] = bx->args[straight ? 0 : 1];
            out->right[out->n_eq] = bx->args[straight ? 1 : 0];
            out->types[out->n_eq++] = bx->args[0]->type;
            return;
        }
    }
    add_rest(b, bx, out);
}

static void count_node(void *arg, const struct efx_bx *bx)
{
    (void)bx;
    ++*(uint32_t *)arg;
}

void efx_plan__match(struct plan_builder *b, const struct efx_bx *bx, struct plan_match *out)
{
    uint32_t n = 0;
    efx_plan__visit(bx, count_node, &n);
    memset(out, 0, sizeof *out);
    out->left = PLAN_NEW_N(b, const struct efx_bx *, n + 1);
    out->right = PLAN_NEW_N(b, const struct efx_bx *, n + 1);
    out->types = PLAN_NEW_N(b, enum efx_type, n + 1);
    if (bx != NULL && b->rc == EFX_OK) {
        take_apart(b, bx, out);
    }
}
