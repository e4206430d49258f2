/* From bound expressions to nodes: columns found, kernels chosen, constants folded.
 *
 *   NE LE GT GE           EQ or LT with operands or answers swapped (k_compare.c)
 *   LONG < 2.5            LONG < 3: a constant DOUBLE beside a LONG becomes a LONG, where it can
 *   x % 123               by multiplication (efx_magic.h)
 *   REGEXP, LIKE 'a%'     constant patterns are compiled here
 *   only constants below  a constant, unless computing it fails: then every row fails, as it should
 */
#include "efx_expr_impl.h"
#include "efx_text.h"

#include <math.h>

struct compiler {
    struct efx_arena *plan;
    const struct efx_expr_map *map;
};

static enum efx_rc build(const struct compiler *c, const struct efx_bx *bx, struct efx_expr **out);

/* Makes e a constant. */
static void become(struct efx_expr *e, const struct efx_value *v)
{
    e->values = efx_expr__const_values;
    e->bits = efx_expr__bits_of_values;
    e->one = true;
    e->can_fail = false;
    e->col = EFX_NO_COL;
    e->lit = *v;
    e->lit.type = e->type;
    if (!v->null) {
        efx_value_to_slot(&e->lit, e->slot, NULL, 0);
    }
}

static enum efx_rc constant(const struct compiler *c, enum efx_type type, const struct efx_value *v,
                            struct efx_expr **out)
{
    struct efx_expr *e = EFX_NEW(c->plan, struct efx_expr);
    if (e == NULL) {
        return EFX_ENOMEM;
    }
    e->op = EFX_BX_CONST;
    e->type = type;
    become(e, v);
    *out = e;
    return EFX_OK;
}

/* A node over args[i], widened to `to`. */
static enum efx_rc widen(const struct compiler *c, struct efx_expr *e, uint32_t i, enum efx_type to)
{
    struct efx_expr *w = EFX_NEW(c->plan, struct efx_expr);
    const struct efx_expr **args = EFX_NEW_N(c->plan, const struct efx_expr *, 1);
    if (w == NULL || args == NULL) {
        return EFX_ENOMEM;
    }
    bool checked;
    args[0] = e->args[i];
    *w = (struct efx_expr){.op = EFX_BX_CAST, .type = to, .n_args = 1, .args = args};
    w->can_fail = args[0]->can_fail;
    w->col = EFX_NO_COL;
    w->values = efx_expr__cast_values;
    w->cast = efx_expr__cast_choose(args[0]->type, to, &checked);
    if (args[0]->one) {
        struct efx_value v;
        efx_eval_cast(&args[0]->lit, to, c->plan, &v);
        become(w, &v);
    }
    e->args[i] = w;
    return EFX_OK;
}

/* ---- comparisons ---- */

static bool is_whole_type(enum efx_type t)
{
    return t == EFX_TYPE_INT || t == EFX_TYPE_LONG;
}

/* Numbers of two types: integers as LONG, others as DOUBLE, which are then compared exactly. */
static enum efx_rc common_numbers(const struct compiler *c, struct efx_expr *e, uint32_t i,
                                  uint32_t k)
{
    const uint32_t both[2] = {i, k};
    bool differ = e->args[i]->type != e->args[k]->type;
    for (uint32_t n = 0; differ && n < 2; n++) {
        enum efx_type t = e->args[both[n]]->type;
        enum efx_type to = is_whole_type(t) ? EFX_TYPE_LONG : EFX_TYPE_DOUBLE;
        if (efx_type_is_number(t) && t != to) {
            EFX_RET(widen(c, e, both[n], to));
        }
    }
    return EFX_OK;
}

/* args[k] a constant DOUBLE beside a LONG: the LONG that compares the same way, if there is one.
 * LONG < 2.5 is LONG < 3, 2.5 < LONG is 2 < LONG. */
static enum efx_rc whole_constant(const struct compiler *c, struct efx_expr *e, uint32_t k)
{
    const struct efx_expr *y = e->args[k];
    if (!y->one || y->lit.null || y->type != EFX_TYPE_DOUBLE ||
        e->args[1 - k]->type != EFX_TYPE_LONG) {
        return EFX_OK;
    }
    bool eq = e->op == EFX_BX_EQ || e->op == EFX_BX_NE || e->op == EFX_BX_NOT_DISTINCT;
    bool right = (e->op == EFX_BX_LT || e->op == EFX_BX_GE) == (k == 1); /* of the `<` it becomes */
    double d = right ? ceil(y->lit.d) : floor(y->lit.d);
    if (!(d >= -0x1p63 && d < 0x1p63) || (eq && d != y->lit.d)) {
        return EFX_OK;
    }
    struct efx_expr *whole;
    const struct efx_value v = {.type = EFX_TYPE_LONG, .l = (int64_t)d};
    EFX_RET(constant(c, EFX_TYPE_LONG, &v, &whole));
    e->args[k] = whole;
    return EFX_OK;
}

static enum efx_rc comparison(const struct compiler *c, struct efx_expr *e)
{
    EFX_RET(common_numbers(c, e, 0, 1));
    EFX_RET(whole_constant(c, e, 0));
    EFX_RET(whole_constant(c, e, 1));
    e->cmp = efx_expr__cmp_choose(e->op, e->args[0]->type, e->args[1]->type);
    e->bits = e->op == EFX_BX_NOT_DISTINCT ? efx_expr__distinct_bits : efx_expr__compare_bits;
    return EFX_OK;
}

/* x is one column for all pairs: only the others are widened. */
static enum efx_rc in_list(const struct compiler *c, struct efx_expr *e)
{
    struct efx_expr__cmp *cmps = EFX_NEW_N(c->plan, struct efx_expr__cmp, e->n_args);
    if (cmps == NULL) {
        return EFX_ENOMEM;
    }
    enum efx_type x = e->args[0]->type;
    for (uint32_t k = 1; k < e->n_args; k++) {
        enum efx_type y = e->args[k]->type;
        if (x != y && efx_type_is_number(x) && is_whole_type(x) != is_whole_type(y)) {
            x = is_whole_type(x) ? EFX_TYPE_LONG : EFX_TYPE_DOUBLE;
        } else if (x != y && efx_type_is_number(x) && y > x) {
            x = y;
        }
    }
    if (x != e->args[0]->type) {
        EFX_RET(widen(c, e, 0, x));
    }
    for (uint32_t k = 1; k < e->n_args; k++) {
        EFX_RET(common_numbers(c, e, 0, k));
        cmps[k] = efx_expr__cmp_choose(EFX_BX_EQ, x, e->args[k]->type);
    }
    e->cmps = cmps;
    e->bits = efx_expr__in_bits;
    return EFX_OK;
}

/* ---- other operators ---- */

static void arithmetic(struct efx_expr *e)
{
    const struct efx_expr *by = e->n_args > 1 ? e->args[1] : NULL;
    const struct efx_value *k = by != NULL && by->one ? &by->lit : NULL;
    e->arith = efx_expr__arith_choose(e->op, e->type, e->op == EFX_BX_MOD ? k : NULL);
    e->values = efx_expr__arith_values;
    if (e->op != EFX_BX_MOD || k == NULL || k->null) {
        return;
    }
    if (e->type == EFX_TYPE_INT && (k->i < -1 || k->i > 1)) {
        e->magic = efx_expr__magic_int(k->i);
    } else if (e->type == EFX_TYPE_LONG && (k->l < -1 || k->l > 1)) {
        e->magic = efx_expr__magic_long(k->l);
    }
}

static void conversion(struct efx_expr *e, struct efx_expr **out)
{
    enum efx_type from = e->args[0]->type;
    bool checked = false;
    if (from == e->type) {
        *out = (struct efx_expr *)(uintptr_t)e->args[0]; /* nothing to do: its operand */
        return;
    }
    e->cast = efx_expr__cast_choose(from, e->type, &checked);
    e->values = e->cast != NULL ? efx_expr__cast_values : efx_expr__text_cast_values;
    e->can_fail = e->can_fail || (e->op == EFX_BX_NARROW && checked);
}

static enum efx_rc like(const struct compiler *c, struct efx_expr *e)
{
    const struct efx_expr *pattern = e->args[1];
    const struct efx_text__runs *runs = NULL;
    e->bits = efx_expr__like_bits;
    if (e->op == EFX_BX_LIKE && pattern->one && !pattern->lit.null) {
        EFX_RET(efx_text__runs_make(c->plan, pattern->lit.s, e->escape, &runs));
    }
    e->like = runs;
    return EFX_OK;
}

static void regexp(const struct compiler *c, struct efx_expr *e)
{
    const struct efx_expr *pattern = e->args[1];
    e->bits = efx_expr__regexp_bits;
    e->can_fail = true;
    e->regex =
        pattern->one && !pattern->lit.null ? efx_text__regex_make(c->plan, pattern->lit.s) : NULL;
}

/* ---- tables ---- */

static void table_of(const struct compiler *c, const struct efx_bx *bx, struct efx_expr *e)
{
    const struct efx_table_probe *p = c->map->table == NULL ? NULL : c->map->table(c->map->arg, bx);
    EFX_ASSERT(p != NULL || bx->table != NULL);
    e->table = p != NULL ? p->table : bx->table->id;
    e->table_col = p != NULL ? p->col : bx->col;
}

struct inner { /* columns inside EXISTS */
    const struct efx_expr_map *map;
    struct efx_expr__exists *x;
    uint32_t max;
};

static uint32_t inner_col(void *arg, const struct efx_bx *ref)
{
    struct inner *in = arg;
    if (ref->op == EFX_BX_COL && ref->src == EFX_BX_SRC_ROW) {
        return ref->col;
    }
    uint32_t col = in->map->col(in->map->arg, ref);
    uint32_t k = 0;
    while (k < in->x->n_outer && in->x->outer[k] != col) {
        k++;
    }
    if (col == EFX_NO_COL || k == in->max) {
        return EFX_NO_COL;
    }
    in->x->outer[k] = col;
    in->x->n_outer = k == in->x->n_outer ? k + 1 : in->x->n_outer;
    return in->x->n_table + k;
}

static const struct efx_table_probe *inner_table(void *arg, const struct efx_bx *ref)
{
    struct inner *in = arg;
    return in->map->table == NULL ? NULL : in->map->table(in->map->arg, ref);
}

static uint32_t n_nodes(const struct efx_bx *bx)
{
    uint32_t n = 1;
    for (uint32_t i = 0; i < bx->n_args; i++) {
        n += n_nodes(bx->args[i]);
    }
    return n;
}

static enum efx_rc exists(const struct compiler *c, const struct efx_bx *bx, struct efx_expr *e)
{
    struct efx_expr__exists *x = EFX_NEW(c->plan, struct efx_expr__exists);
    uint32_t max = n_nodes(bx->args[0]);
    uint32_t *outer = EFX_NEW_N(c->plan, uint32_t, max);
    if (x == NULL || outer == NULL) {
        return EFX_ENOMEM;
    }
    x->n_table = bx->table->schema.n_cols;
    x->outer = outer;
    struct inner in = {c->map, x, max};
    const struct efx_expr_map map = {inner_col, &in, inner_table};
    EFX_RET(efx_expr_compile(c->plan, bx->args[0], &map, &x->cond));
    e->exists = x;
    e->can_fail = x->cond->can_fail;
    e->bits = efx_expr__exists_bits;
    return EFX_OK;
}

/* ---- nodes ---- */

static enum efx_rc reference(const struct compiler *c, const struct efx_bx *bx, struct efx_expr *e)
{
    e->values = efx_expr__col_values;
    e->col = c->map->col(c->map->arg, bx);
    return e->col == EFX_NO_COL ? EFX_EBUG : EFX_OK;
}

static void call(const struct efx_bx *bx, struct efx_expr *e)
{
    e->func = bx->func;
    e->values = efx_expr__call_values;
    e->can_fail = e->can_fail || !bx->func->total;
}

/* What the operator needs beside its operands; *out may become another node. */
static enum efx_rc choose(const struct compiler *c, const struct efx_bx *bx, struct efx_expr *e,
                          struct efx_expr **out)
{
    switch (bx->op) {
    case EFX_BX_CONST: become(e, &bx->lit); return EFX_OK;
    case EFX_BX_COL:
    case EFX_BX_AGG:
    case EFX_BX_ELEM_AGG:
    case EFX_BX_IS_BOUND: return reference(c, bx, e);
    case EFX_BX_EVENT_TS:
        if (bx->src != EFX_BX_SRC_NONE) {
            return reference(c, bx, e);
        }
        e->values = efx_expr__time_values;
        return EFX_OK;
    case EFX_BX_NOW: e->values = efx_expr__time_values; return EFX_OK;
    case EFX_BX_UUID: e->values = efx_expr__uuid_values; return EFX_OK;
    case EFX_BX_CALL: call(bx, e); return EFX_OK;
    case EFX_BX_CAST:
    case EFX_BX_NARROW: conversion(e, out); return EFX_OK;
    case EFX_BX_NEG:
    case EFX_BX_ADD:
    case EFX_BX_SUB:
    case EFX_BX_MUL:
    case EFX_BX_DIV:
    case EFX_BX_MOD: arithmetic(e); return EFX_OK;
    case EFX_BX_CONCAT: e->values = efx_expr__concat_values; return EFX_OK;
    case EFX_BX_EQ:
    case EFX_BX_NE:
    case EFX_BX_LT:
    case EFX_BX_LE:
    case EFX_BX_GT:
    case EFX_BX_GE:
    case EFX_BX_NOT_DISTINCT: return comparison(c, e);
    case EFX_BX_AND:
    case EFX_BX_OR: e->bits = efx_expr__logic_bits; return EFX_OK;
    case EFX_BX_NOT:
    case EFX_BX_IS_NULL:
    case EFX_BX_IS_TRUE:
    case EFX_BX_IS_FALSE: e->bits = efx_expr__is_bits; return EFX_OK;
    case EFX_BX_IN_LIST: return in_list(c, e);
    case EFX_BX_IN_TABLE:
        table_of(c, bx, e);
        e->bits = efx_expr__in_table_bits;
        return EFX_OK;
    case EFX_BX_EXISTS: table_of(c, bx, e); return exists(c, bx, e);
    case EFX_BX_LIKE:
    case EFX_BX_ILIKE: return like(c, e);
    case EFX_BX_REGEXP: regexp(c, e); return EFX_OK;
    case EFX_BX_CASE:
    case EFX_BX_COALESCE: e->values = efx_expr__case_values; return EFX_OK;
    }
    return EFX_EBUG;
}

static enum efx_rc build_args(const struct compiler *c, const struct efx_bx *bx, struct efx_expr *e)
{
    e->args = EFX_NEW_N(c->plan, const struct efx_expr *, (size_t)bx->n_args + 1);
    if (e->args == NULL) {
        return EFX_ENOMEM;
    }
    e->n_args = bx->op == EFX_BX_EXISTS ? 0 : bx->n_args; /* its condition sees other columns */
    for (uint32_t i = 0; i < e->n_args; i++) {
        struct efx_expr *arg;
        EFX_RET(build(c, bx->args[i], &arg));
        e->args[i] = arg;
        e->can_fail = e->can_fail || arg->can_fail;
    }
    return EFX_OK;
}

static bool only_constants(const struct efx_expr *e)
{
    bool all = true;
    for (uint32_t i = 0; i < e->n_args; i++) {
        all = all && e->args[i]->one;
    }
    return all;
}

static enum efx_rc build(const struct compiler *c, const struct efx_bx *bx, struct efx_expr **out)
{
    struct efx_expr *e = EFX_NEW(c->plan, struct efx_expr);
    if (e == NULL) {
        return EFX_ENOMEM;
    }
    *e = (struct efx_expr){.op = bx->op, .type = bx->type, .col = EFX_NO_COL};
    e->escape = bx->escape;
    e->place = bx->place;
    EFX_RET(build_args(c, bx, e));
    struct efx_value v;
    if (only_constants(e) && efx_expr__fold(bx, e, c->plan, &v)) {
        become(e, &v);
        *out = e;
        return EFX_OK;
    }
    *out = e;
    EFX_RET(choose(c, bx, e, out));
    if (e->values == NULL) {
        e->values = efx_expr__values_of_bits;
    } else if (e->bits == NULL) {
        e->bits = efx_expr__bits_of_values;
    }
    return EFX_OK;
}

enum efx_rc efx_expr_compile(struct efx_arena *plan, const struct efx_bx *bx,
                             const struct efx_expr_map *map, const struct efx_expr **out)
{
    const struct compiler c = {plan, map};
    struct efx_expr *e;
    EFX_RET(build(&c, bx, &e));
    *out = e;
    return EFX_OK;
}
