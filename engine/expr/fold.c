/* Operators over constants alone, at compile time. What would fail is no constant: it fails for
 * each row that reaches it, as the language wants. */
#include "efx_expr_impl.h"
#include "efx_text.h"

/* AND: FALSE decides, OR: TRUE does; NULL is remembered. */
static void fold_logic(const struct efx_expr *e, struct efx_value *out)
{
    bool decides = e->op == EFX_BX_OR;
    *out = (struct efx_value){.type = EFX_TYPE_BOOL, .b = !decides};
    for (uint32_t i = 0; i < e->n_args; i++) {
        const struct efx_value *v = &e->args[i]->lit;
        if (!v->null && v->b == decides) {
            *out = *v;
            return;
        }
        out->null = out->null || v->null;
    }
}

static void fold_case(const struct efx_expr *e, struct efx_value *out)
{
    uint32_t k = 0;
    while (k + 1 < e->n_args && (e->args[k]->lit.null || !e->args[k]->lit.b)) {
        k += 2;
    }
    *out = k + 1 < e->n_args ? e->args[k + 1]->lit : e->args[k]->lit;
}

static void fold_coalesce(const struct efx_expr *e, struct efx_value *out)
{
    uint32_t k = 0;
    while (k + 1 < e->n_args && e->args[k]->lit.null) {
        k++;
    }
    *out = e->args[k]->lit;
}

static void fold_in(const struct efx_expr *e, struct efx_value *out)
{
    const struct efx_value *x = &e->args[0]->lit;
    *out = (struct efx_value){.type = EFX_TYPE_BOOL, .null = x->null};
    for (uint32_t i = 1; i < e->n_args && !x->null; i++) {
        const struct efx_value *v = &e->args[i]->lit;
        if (!v->null && efx_value_compare(x, v) == 0) {
            *out = (struct efx_value){.type = EFX_TYPE_BOOL, .b = true};
            return;
        }
        out->null = out->null || v->null;
    }
}

static bool fold_values(const struct efx_bx *bx, const struct efx_expr *e, struct efx_arena *plan,
                        struct efx_value *out)
{
    struct efx_value *args = EFX_NEW_N(plan, struct efx_value, (size_t)e->n_args + 1);
    if (args == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < e->n_args; i++) {
        args[i] = e->args[i]->lit;
    }
    return efx_eval_op(bx, args, plan, out) == 0;
}

bool efx_expr__fold(const struct efx_bx *bx, const struct efx_expr *e, struct efx_arena *plan,
                    struct efx_value *out)
{
    switch (bx->op) {
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
    case EFX_BX_REGEXP: return fold_values(bx, e, plan, out);
    case EFX_BX_AND:
    case EFX_BX_OR: fold_logic(e, out); return true;
    case EFX_BX_CASE: fold_case(e, out); return true;
    case EFX_BX_COALESCE: fold_coalesce(e, out); return true;
    case EFX_BX_IN_LIST: fold_in(e, out); return true;
    case EFX_BX_CONST: *out = bx->lit; return true;
    case EFX_BX_COL:
    case EFX_BX_AGG:
    case EFX_BX_ELEM_AGG:
    case EFX_BX_IS_BOUND:
    case EFX_BX_IN_TABLE:
    case EFX_BX_EXISTS:
    case EFX_BX_NOW:
    case EFX_BX_EVENT_TS:
    case EFX_BX_UUID: break;
    }
    return false;
}
