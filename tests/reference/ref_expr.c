#include "ref.h"

#include "efx_eval.h"

/* Bound expressions over single values: references and lazy forms here, every operator's meaning
 * from efx_eval_op. The first data error met stays in env->error; what failed reads as NULL. */

bool ref_same(const struct efx_value *a, const struct efx_value *b)
{
    if (a->null || b->null) {
        return a->null && b->null;
    }
    return efx_value_compare(a, b) == 0;
}

bool ref_same_all(const struct efx_value *a, const struct efx_value *b, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (!ref_same(&a[i], &b[i])) {
            return false;
        }
    }
    return true;
}

static void fail(struct ref_env *env, uint16_t code)
{
    if (env->error == 0) {
        env->error = code;
    }
}

static struct efx_value truth(bool b)
{
    return (struct efx_value){.type = EFX_TYPE_BOOL, .b = b};
}

/* The event of a counted or plain element that an index names; NULL = there is none. */
static const struct ref_event *element_event(const struct ref_env *env, const struct efx_bx *bx)
{
    const struct ref_list *got = &env->elems[bx->src];
    uint32_t n = bx->index.n;
    switch (bx->index.kind) {
    case EFX_AST_INDEX_NONE: return got->n > 0 ? got->v[0] : NULL;
    case EFX_AST_INDEX_AT: return n < got->n ? got->v[n] : NULL;
    case EFX_AST_INDEX_LAST: return n < got->n ? got->v[got->n - 1 - n] : NULL;
    }
    return NULL;
}

static const struct ref_event *source_event(const struct ref_env *env, const struct efx_bx *bx)
{
    switch (bx->src) {
    case EFX_BX_SRC_CANDIDATE: return env->candidate;
    case EFX_BX_SRC_ROW: return env->table_row;
    default: break;
    }
    if (env->elems != NULL) {
        return element_event(env, bx);
    }
    return bx->src < 2 ? env->input[bx->src] : NULL;
}

static struct efx_value column(const struct ref_env *env, const struct efx_bx *bx)
{
    if (bx->src == EFX_BX_SRC_OUT || bx->src == EFX_BX_SRC_KEY) {
        const struct efx_value *v = bx->src == EFX_BX_SRC_OUT ? env->out : env->key;
        return v != NULL ? v[bx->col] : efx_value_null(bx->type);
    }
    const struct ref_event *e = source_event(env, bx);
    return e != NULL ? e->v[bx->col] : efx_value_null(bx->type);
}

/* AND stops at FALSE, OR at TRUE. */
static struct efx_value logic(struct ref_env *env, const struct efx_bx *bx, bool stop)
{
    bool unknown = false;
    for (uint32_t i = 0; i < bx->n_args; i++) {
        struct efx_value v = ref_eval(env, bx->args[i]);
        if (env->error != 0) {
            return efx_value_null(EFX_TYPE_BOOL);
        }
        if (!v.null && v.b == stop) {
            return truth(stop);
        }
        unknown |= v.null;
    }
    return unknown ? efx_value_null(EFX_TYPE_BOOL) : truth(!stop);
}

static struct efx_value in_list(struct ref_env *env, const struct efx_bx *bx)
{
    struct efx_value x = ref_eval(env, bx->args[0]);
    bool unknown = x.null;
    for (uint32_t i = 1; i < bx->n_args && !x.null && env->error == 0; i++) {
        struct efx_value v = ref_eval(env, bx->args[i]);
        if (!v.null && efx_value_compare(&x, &v) == 0) {
            return truth(true);
        }
        unknown |= v.null;
    }
    return unknown ? efx_value_null(EFX_TYPE_BOOL) : truth(false);
}

static struct efx_value in_table(struct ref_env *env, const struct efx_bx *bx)
{
    struct efx_value x = ref_eval(env, bx->args[0]);
    if (x.null) {
        return efx_value_null(EFX_TYPE_BOOL);
    }
    const struct ref_list *rows = &env->r->tables[bx->table->id];
    for (uint32_t i = 0; i < rows->n; i++) {
        const struct efx_value *v = &((const struct ref_event *)rows->v[i])->v[bx->col];
        if (!v->null && efx_value_compare(&x, v) == 0) {
            return truth(true);
        }
    }
    return truth(false);
}

static struct efx_value exists(struct ref_env *env, const struct efx_bx *bx)
{
    const struct ref_list *rows = &env->r->tables[bx->table->id];
    const struct ref_event *outer = env->table_row;
    bool found = false;
    for (uint32_t i = 0; i < rows->n && !found && env->error == 0; i++) {
        env->table_row = rows->v[i];
        found = ref_eval_true(env, bx->args[0]);
    }
    env->table_row = outer;
    return truth(found);
}

static struct efx_value pick(struct ref_env *env, const struct efx_bx *bx)
{
    for (uint32_t i = 0; i + 1 < bx->n_args; i += 2) {
        if (ref_eval_true(env, bx->args[i])) {
            return ref_eval(env, bx->args[i + 1]);
        }
        if (env->error != 0) {
            return efx_value_null(bx->type);
        }
    }
    return ref_eval(env, bx->args[bx->n_args - 1]);
}

static struct efx_value coalesce(struct ref_env *env, const struct efx_bx *bx)
{
    for (uint32_t i = 0; i < bx->n_args; i++) {
        struct efx_value v = ref_eval(env, bx->args[i]);
        if (!v.null || env->error != 0) {
            return v;
        }
    }
    return efx_value_null(bx->type);
}

/* Aggregate over the events that one counted element collected (language §8.8). */
static struct efx_value element_aggregate(struct ref_env *env, const struct efx_bx *bx)
{
    struct efx_reference *r = env->r;
    const struct efx_bagg *agg = bx->elem_agg;
    const struct ref_list *got = &env->elems[bx->src];
    struct efx_value *args = REF_NEW_N(r, struct efx_value, got->n);
    struct ref_env inner = *env;
    uint32_t n = 0;
    for (uint32_t i = 0; i < got->n; i++) {
        inner.candidate = got->v[i];
        inner.ts_ms = inner.candidate->ts_ms;
        if (ref_eval_true(&inner, agg->filter)) {
            args[n++] = agg->arg == NULL ? truth(true) : ref_eval(&inner, agg->arg);
        }
    }
    struct efx_value out;
    uint16_t code = ref_aggregate(r, agg, args, n, &out);
    if (inner.error != 0 || code != 0) {
        fail(env, inner.error != 0 ? inner.error : code);
    }
    return out;
}

static struct efx_value event_ts(const struct ref_env *env, const struct efx_bx *bx)
{
    if (bx->src == EFX_BX_SRC_NONE) {
        return (struct efx_value){.type = EFX_TYPE_LONG, .l = env->ts_ms};
    }
    const struct ref_event *e = source_event(env, bx);
    if (e == NULL) {
        return efx_value_null(EFX_TYPE_LONG);
    }
    return (struct efx_value){.type = EFX_TYPE_LONG, .l = e->ts_ms};
}

static struct efx_value uuid(struct ref_env *env, const struct efx_bx *bx)
{
    char *text = REF_NEW_N(env->r, char, 36);
    efx_eval_uuid(0, env->r->turn, bx->place, (uint32_t)env->r->n_made, text);
    return (struct efx_value){.type = EFX_TYPE_STRING, .s = {text, 36}};
}

/* Operators and functions whose operands are all evaluated. */
static struct efx_value strict(struct ref_env *env, const struct efx_bx *bx)
{
    struct efx_value *args = REF_NEW_N(env->r, struct efx_value, bx->n_args);
    for (uint32_t i = 0; i < bx->n_args; i++) {
        args[i] = ref_eval(env, bx->args[i]);
        if (env->error != 0) {
            return efx_value_null(bx->type);
        }
    }
    struct efx_value out = efx_value_null(bx->type);
    uint16_t code = 0;
    if (bx->op == EFX_BX_CAST) {
        efx_eval_cast(&args[0], bx->type, &env->r->arena, &out);
    } else if (bx->op == EFX_BX_NARROW) {
        code = efx_eval_narrow(&args[0], bx->type, &out);
    } else {
        code = efx_eval_op(bx, args, &env->r->arena, &out);
    }
    if (code != 0) {
        fail(env, code);
        return efx_value_null(bx->type);
    }
    return out;
}

struct efx_value ref_eval(struct ref_env *env, const struct efx_bx *bx)
{
    switch (bx->op) {
    case EFX_BX_CONST: return bx->lit;
    case EFX_BX_COL: return column(env, bx);
    case EFX_BX_AGG: return env->aggs[bx->col];
    case EFX_BX_ELEM_AGG: return element_aggregate(env, bx);
    case EFX_BX_IS_BOUND: return truth(env->elems != NULL && env->elems[bx->src].n > 0);
    case EFX_BX_AND: return logic(env, bx, false);
    case EFX_BX_OR: return logic(env, bx, true);
    case EFX_BX_IN_LIST: return in_list(env, bx);
    case EFX_BX_IN_TABLE: return in_table(env, bx);
    case EFX_BX_EXISTS: return exists(env, bx);
    case EFX_BX_CASE: return pick(env, bx);
    case EFX_BX_COALESCE: return coalesce(env, bx);
    case EFX_BX_NOW: return (struct efx_value){.type = EFX_TYPE_LONG, .l = env->r->clock_ms};
    case EFX_BX_EVENT_TS: return event_ts(env, bx);
    case EFX_BX_UUID: return uuid(env, bx);
    case EFX_BX_CALL:
    case EFX_BX_CAST:
    case EFX_BX_NARROW:
    case EFX_BX_NEG:
    case EFX_BX_ADD:
    case EFX_BX_SUB:
    case EFX_BX_MUL:
    case EFX_BX_DIV:
    case EFX_BX_MOD:
    case EFX_BX_CONCAT:
    case EFX_BX_EQ:
    case EFX_BX_NE:
    case EFX_BX_LT:
    case EFX_BX_LE:
    case EFX_BX_GT:
    case EFX_BX_GE:
    case EFX_BX_NOT_DISTINCT:
    case EFX_BX_NOT:
    case EFX_BX_IS_NULL:
    case EFX_BX_IS_TRUE:
    case EFX_BX_IS_FALSE:
    case EFX_BX_LIKE:
    case EFX_BX_ILIKE:
    case EFX_BX_REGEXP: return strict(env, bx);
    }
    return efx_value_null(bx->type);
}

bool ref_eval_true(struct ref_env *env, const struct efx_bx *bx)
{
    if (bx == NULL) {
        return true;
    }
    struct efx_value v = ref_eval(env, bx);
    return env->error == 0 && !v.null && v.b;
}
